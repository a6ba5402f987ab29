import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { FormatError } from "../../lib/errors.ts";
import { readPrior, writeHalfPrior, writePrior } from "../../lib/priors/files.ts";
import { type PriorParts, readPriorParts, writePriorParts } from "../../lib/priors/parts.ts";
import type { PriorFile } from "../../lib/priors/prior_file.ts";
import { float32Tensor, sizeOf, type StateDict } from "../../lib/tensor.ts";
import published from "../fixtures/networks/torchvision_parameters.json" with { type: "json" };
import { hashedUnit } from "../reference/hashed.ts";

const PYTHON = "/usr/bin/python3";
const METADATA = { architecture: "resnet18", source: "weights.pth", sourceSha256: "ab".repeat(32), software: "test 1" };
const SHAPES: [string, number[]][] = [["conv1.weight", [4, 3, 3, 3]], ["bn1.weight", [4]], ["bn1.bias", [4]], [
  "layer1.0.conv1.weight",
  [5, 4, 1, 1],
]];

/** `rank` deviations whose sum of squares over rank - 1 is about the variance. */
function prior(shapes: readonly (readonly [string, readonly number[]])[], rank: number): PriorFile {
  const parameters = shapes.map(([name, shape]) => ({ name, shape: [...shape] }));
  const count = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const values = (stream: number) => Float32Array.from({ length: count }, (_, i) => hashedUnit(stream, i));
  const swag = {
    mean: values(1),
    variance: values(2).map((x) => 0.01 * (1 + 0.5 * x)),
    covFactor: [] as Float32Array[],
  };
  for (let k = 0; k < rank; k++) {
    const scale = Math.sqrt(3 / Math.max(1, rank - 1));
    swag.covFactor.push(values(3 + k).map((x, i) => x * scale * Math.sqrt(swag.variance[i])));
  }
  const model: StateDict = new Map();
  let offset = 0;
  for (const { name, shape } of parameters) {
    const size = sizeOf(shape);
    model.set(name, float32Tensor(shape, swag.mean.slice(offset, offset + size).map((x) => x + 0.01)));
    offset += size;
    if (name.endsWith("bn1.bias")) {
      model.set(name.replace("bias", "running_mean"), float32Tensor(shape, new Float32Array(size).fill(0.5)));
      model.set(name.replace("bias", "running_var"), float32Tensor(shape, new Float32Array(size).fill(2)));
      const counter = { dtype: "int64", shape: [], data: BigInt64Array.of(7n) } as const;
      model.set(name.replace("bias", "num_batches_tracked"), counter);
    }
  }
  return { swag, parameters, model, metadata: METADATA };
}

const SMALL = prior(SHAPES, 6);

function withSwag(file: PriorFile, covFactor: Float32Array[]): PriorFile {
  return { ...file, swag: { ...file.swag, covFactor } };
}

Deno.test("writePrior() and readPrior() keep every number, name, shape and statement", () => {
  for (const rank of [0, 1, 6]) {
    const file = prior(SHAPES, rank);
    assertEquals(readPrior(writePrior(file)), file);
  }
});

Deno.test("writeHalfPrior() halves a prior and states exactly what rounding did to it", () => {
  const file = prior(SHAPES, 6);
  // Of a learned prior's sizes: variances at the clamp, deviations of all sizes, one far too small.
  const variance = file.swag.variance.map((x, i) => i % 3 === 0 ? 1e-6 : x);
  const covFactor = file.swag.covFactor.map((row) => row.map((x, i) => i === 5 ? 1e-20 : x * 1e-3));
  const exact = { ...file, swag: { ...file.swag, variance, covFactor } };
  const { bytes, errors } = writeHalfPrior(exact);
  const { swag, ...rest } = readPrior(bytes);
  assertEquals(rest, { parameters: exact.parameters, model: exact.model, metadata: exact.metadata });
  const measured = (found: readonly Float32Array[], expected: readonly Float32Array[]) => {
    const pairs = expected.flatMap((row, k) => [...row].map((x, i) => [found[k][i], x]));
    const largest = Math.max(...pairs.map(([, x]) => Math.abs(x)));
    return {
      relative: Math.max(...pairs.map(([y, x]) => Math.abs(y - x) / Math.abs(x))),
      ofLargest: Math.max(...pairs.map(([y, x]) => Math.abs(y - x))) / largest,
    };
  };
  assertEquals(errors, {
    mean: measured([swag.mean], [exact.swag.mean]),
    variance: measured([swag.variance], [variance]),
    cov_factor: measured(swag.covFactor, covFactor),
  });
  // Rounding to nearest of an 11-bit significand, though the clamp is 1e-4 of the largest variance.
  assert(errors.variance.relative <= 2 ** -11, `${errors.variance.relative}`);
  assertEquals(errors.cov_factor.relative, 1);
  assert(errors.cov_factor.ofLargest <= 2 ** -11);
  assertEquals(JSON.parse(readSafetensors(bytes).metadata["storage.error"]), errors);
  assert(bytes.length < writePrior(exact).length - 2 * 8 * swag.mean.length + 500);
});

Deno.test("writeHalfPrior() keeps variances above zero, and zero and rank 0 as they are", () => {
  const file = prior(SHAPES, 0), count = file.swag.mean.length;
  const variance = new Float32Array(count).fill(1);
  variance.set([0, 1e-30]);
  const { swag } = readPrior(
    writeHalfPrior({ ...file, swag: { mean: new Float32Array(count), variance, covFactor: [] } }).bytes,
  );
  assertEquals(swag.mean, new Float32Array(count));
  assertEquals(swag.covFactor, []);
  assertEquals(swag.variance[0], 0);
  assert(swag.variance[1] > 0 && swag.variance[1] < 1e-11);
});

Deno.test("readPrior() refuses half precision without its scales", () => {
  const { bytes } = writeHalfPrior(SMALL);
  const { tensors, metadata } = readSafetensors(bytes);
  const refuses = (changed: Record<string, string>, message: string) =>
    assertThrows(() => readPrior(writeSafetensors(tensors, { ...metadata, ...changed })), FormatError, message);
  refuses({ "storage.scale": "{}" }, "its scale of mean is undefined; a power of two is required");
  refuses({ "storage.scale": '{"mean":3}' }, "its scale of mean is 3");
  refuses({ "storage.scale": "{" }, "its scale of mean is undefined");
  const single = new Map([...tensors, ["mean", float32Tensor([SMALL.swag.mean.length], SMALL.swag.mean)]]);
  assertThrows(() => readPrior(writeSafetensors(single, metadata)), FormatError, "the mean is no such tensor");
});

Deno.test("readPrior() says what is wrong with a truncated, foreign or contradictory file", () => {
  const bytes = writePrior(SMALL);
  for (const length of [0, 7, 40, bytes.length - 1]) {
    assertThrows(() => readPrior(bytes.slice(0, length), "p.safetensors"), FormatError, "Cannot read p.safetensors");
  }
  assertThrows(() => readPrior(writeSafetensors(SMALL.model)), FormatError, "its format is");
  const edit = (from: string, to: string) => {
    const text = new TextDecoder("latin1").decode(bytes);
    assert(text.includes(from) && from.length === to.length, from);
    return Uint8Array.from(text.replace(from, to), (character) => character.charCodeAt(0));
  };
  assertThrows(() => readPrior(edit('"format_version":"1"', '"format_version":"9"')), FormatError, "it has version 9");
  assertThrows(() => readPrior(edit("not halved, not", "not halved, and")), FormatError, "its convention for the");
  assertThrows(() => readPrior(edit('"rank":"6"', '"rank":"5"')), FormatError, "rank 5, but holds");
  assertThrows(() => readPrior(edit("[4,3,3,3]", "[4,3,3,2]")), FormatError, "but holds");
  assertThrows(() => readPrior(edit("[4,3,3,3]", "[3,4,3,3]")), FormatError, "lacks conv1.weight");
});

Deno.test("writePrior() refuses lengths and shapes that contradict each other", () => {
  assertThrows(() => writePrior(withSwag(SMALL, [new Float32Array(3)])), TypeError, "rows have");
  assertThrows(() => writePrior({ ...SMALL, model: new Map() }), TypeError, "lacks conv1.weight");
});

Deno.test("writePriorParts() and readPriorParts() keep mean, variance, rows, names, shapes and model", () => {
  const found = readPriorParts(writePriorParts(SMALL), { architecture: "resnet18" });
  assertEquals(found.swag, SMALL.swag);
  assertEquals(found.parameters, SMALL.parameters);
  assertEquals(found.model, SMALL.model);
  assertEquals(found.metadata.architecture, "resnet18");
});

Deno.test("readPriorParts() finds out whether rows are normalised, and obeys where it is told", () => {
  const raw = writePriorParts(withSwag(SMALL, SMALL.swag.covFactor.map((row) => row.map((x) => x * Math.sqrt(5)))));
  const near = (a: Float32Array, b: Float32Array) => a.forEach((x, i) => assertAlmostEquals(x, b[i], 1e-7));
  readPriorParts(raw).swag.covFactor.forEach((row, k) => near(row, SMALL.swag.covFactor[k]));
  readPriorParts(raw, { normalised: false }).swag.covFactor.forEach((row, k) => near(row, SMALL.swag.covFactor[k]));
  const found: string[] = [], onNormalisation = (normalisation: string) => void found.push(normalisation);
  for (const parts of [raw, writePriorParts(SMALL)]) readPriorParts(parts, { onNormalisation });
  readPriorParts(raw, { normalised: false, onNormalisation });
  assertEquals(found, ["raw", "normalised"]);
  const told = readPriorParts(writePriorParts(SMALL), { normalised: false }).swag.covFactor;
  told.forEach((row, k) => near(row, SMALL.swag.covFactor[k].map((x) => x / Math.sqrt(5))));
});

Deno.test("readPriorParts() takes the bytes over only where it may, for the same prior", () => {
  for (const normalised of [undefined, false]) {
    const parts = writePriorParts(SMALL), kept = parts.covmat.slice();
    const copied = readPriorParts(parts, { normalised });
    assertEquals(parts.covmat, kept);
    const taken = readPriorParts(parts, { normalised, consume: true });
    assertEquals(taken, copied);
    assertEquals(taken.swag.covFactor[0].buffer, parts.covmat.buffer);
  }
});

Deno.test("readPriorParts() tells raw rows from normalised ones by a part of many parameters", () => {
  const large = prior([["conv.weight", [300, 300, 3, 3]], ["bn.weight", [300]]], 5);
  const parts = writePriorParts(large);
  const raw = writePriorParts(withSwag(large, large.swag.covFactor.map((row) => row.map((x) => 2 * x))));
  const [first] = readPriorParts(parts).swag.covFactor;
  assertEquals(first, large.swag.covFactor[0]);
  assertEquals(readPriorParts(raw).swag.covFactor[0], first);
});

Deno.test("readPriorParts() names the flag where the normalisation is open", () => {
  for (const factor of [Math.sqrt(Math.sqrt(5)), 5, 0.1]) {
    const parts = writePriorParts(withSwag(SMALL, SMALL.swag.covFactor.map((row) => row.map((x) => x * factor))));
    assertThrows(() => readPriorParts(parts), FormatError, "--prior-normalisation raw|normalised");
    assertEquals(readPriorParts(parts, { normalised: true }).swag.covFactor.length, 6);
  }
});

Deno.test("readPriorParts() does not count a first row of zeros", () => {
  const rows = [new Float32Array(SMALL.swag.mean.length), ...SMALL.swag.covFactor.slice(1)];
  const found = readPriorParts(writePriorParts(withSwag(SMALL, rows))).swag.covFactor;
  assertEquals(found.length, 5);
  // Deviations over sqrt(6 - 1) become deviations over sqrt(5 - 1).
  found.forEach((row, k) => row.forEach((x, i) => assertAlmostEquals(x, rows[k + 1][i] * Math.sqrt(5 / 4), 1e-7)));
});

Deno.test("readPriorParts() refuses parts of other sizes, another order or no prior at all", () => {
  const parts = writePriorParts(SMALL);
  const refuse = (change: Partial<PriorParts>, message: string) =>
    assertThrows(() => readPriorParts({ ...parts, ...change }, { normalised: true }), FormatError, message);
  const vector = (length: number) => writeTorch(float32Tensor([length], new Float32Array(length)));
  refuse({ mean: vector(12) }, "the mean has 12 elements");
  refuse({ variance: vector(12) }, "the variance 12");
  refuse({ covmat: vector(12) }, "a float32 tensor of shape [12]; floats of 2 axes");
  refuse({ mean: parts.model }, "_mean.pt holds something else than one tensor");
  refuse({ model: parts.mean }, "a state dictionary or a module is required");
  refuse({ covmat: parts.covmat.slice(0, 300) }, "_covmat.pt");
  refuse({ mean: writeTorch(float32Tensor([136], SMALL.swag.mean.map((x, i) => i === 9 ? NaN : x))) }, "element 9");
  refuse({ variance: writeTorch(float32Tensor([136], SMALL.swag.variance.map((x) => -x))) }, "none may be negative");
  const headed = new Map([...SMALL.model, ["fc.bias", float32Tensor([3], new Float32Array(3))] as const]);
  refuse({ model: writeTorch(headed) }, "has 139 parameters in 5 tensors (conv1.weight to fc.bias)");
  const reordered = new Map([...SMALL.model].reverse());
  refuse({ model: writeTorch(reordered) }, "does not follow the order of _model.pt");
  const one = [...SMALL.model].find(([name]) => name.includes("layer1"))!;
  const swapped = new Map([one, ...SMALL.model]);
  refuse({ model: writeTorch(swapped) }, "layer1.0.conv1.weight");
});

Deno.test("writePriorParts() refuses a model whose parameters its readers would not find by name", () => {
  const renamed = (from: string, to: string): PriorFile => ({
    ...SMALL,
    model: new Map([...SMALL.model].map(([name, tensor]) => [name.replace(from, to), tensor])),
  });
  const message = "parameter 3 would be bn1.moving_mean, but it is layer1.0.conv1.weight; one safetensors file";
  assertThrows(() => writePriorParts(renamed("running_mean", "moving_mean")), TypeError, message);
  const behind = new Map([...SMALL.model, ["late.moving_mean", float32Tensor([3], new Float32Array(3))] as const]);
  const last = "parameter 4 would be late.moving_mean, but it is none";
  assertThrows(() => writePriorParts({ ...SMALL, model: behind }), TypeError, last);
});

Deno.test("readPriorParts() loads what PyTorch wrote", () => {
  const read = (name: string) => Deno.readFileSync(new URL(`../fixtures/priors/small_${name}.pt`, import.meta.url));
  const parts = { model: read("model"), mean: read("mean"), variance: read("variance"), covmat: read("covmat") };
  const { swag, parameters, model } = readPriorParts(parts);
  assertEquals(parameters, [
    { name: "conv1.weight", shape: [4, 3, 3, 3] },
    { name: "bn1.weight", shape: [4] },
    { name: "bn1.bias", shape: [4] },
    { name: "conv2.weight", shape: [2, 4, 1, 1] },
    { name: "conv2.bias", shape: [2] },
  ]);
  assertEquals([swag.mean.length, swag.variance.length, swag.covFactor.length], [126, 126, 5]);
  assertEquals([...model.get("conv1.weight")!.data], [...swag.mean.subarray(0, 108)]);
  const summed = readPriorParts(parts, { normalised: true }).swag.covFactor;
  assertEquals(summed, swag.covFactor);
});

async function python(script: string, ...args: readonly string[]): Promise<boolean> {
  try {
    const { success, stderr } = await new Deno.Command(PYTHON, { args: ["-c", script, ...args] }).output();
    if (!success && args.length > 0) throw new Error(new TextDecoder().decode(stderr));
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const TORCHVISION = await python("import torch, torchvision");

Deno.test({
  name: "writePriorParts() writes what torch.load opens: [P], [P], [K, P] in the order of torchvision's parameters()",
  ignore: !TORCHVISION,
  fn: async () => {
    const shapes = published.resnet18.parameters as [string, number[]][];
    const file = prior(shapes, 2);
    const parts = writePriorParts(file);
    const folder = await Deno.makeTempDir();
    try {
      for (const [name, bytes] of Object.entries(parts)) await Deno.writeFile(`${folder}/p_${name}.pt`, bytes);
      await python(
        `
import sys, torch, torchvision
state, mean, variance, covmat = (torch.load(f"{sys.argv[1]}/p_{n}.pt") for n in ("model", "mean", "variance", "covmat"))
network = torchvision.models.resnet18()
network.fc = torch.nn.Identity()
names = [name for name, _ in network.named_parameters()]
count = sum(p.numel() for p in network.parameters())
assert mean.shape == (count,) and variance.shape == (count,) and covmat.shape == (2, count), (mean.shape, covmat.shape)
assert [n for n in state if "running" not in n and "num_batches" not in n] == names
missing, unexpected = network.load_state_dict(state, strict=False)
assert not unexpected and all("running" in n or "num_batches" in n for n in missing), (missing, unexpected)
offset = 0
for name, parameter in network.named_parameters():
    part = mean[offset:offset + parameter.numel()].view_as(parameter)
    assert (parameter.data - part - 0.01).abs().max() < 1e-6, name
    offset += parameter.numel()
torch.save(covmat * 1, f"{sys.argv[1]}/p_covmat.pt")
`,
        folder,
      );
      const covmat = await Deno.readFile(`${folder}/p_covmat.pt`);
      const again = readPriorParts({ ...parts, covmat });
      assert(again.swag.covFactor.every((row, k) => row.every((x, i) => x === file.swag.covFactor[k][i])));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
