/**
 * Every classifier of torchvision's list, imported from ONNX, against PyTorch on the same weights and images: logits in
 * both modes and the gradient of the loss. Writes `results/torchvision.md`:
 *
 * `deno run -A tests/bench/torchvision.ts [--at-most N] [NAME...]`
 *
 * It needs PyTorch and torchvision as `/usr/bin/python3` finds them, or as the interpreter that `--python` names does.
 * Models that are in the table are skipped, so that a stopped bench goes on, or one of N models a call; `--again` measures
 * them once more.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { onnxProto } from "../../lib/deps.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { Graph } from "../../lib/graph/graph.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import type { Tensor } from "../../lib/ops/operation.ts";
import { float32Tensor, type StateDict } from "../../lib/tensor.ts";
import { readFixture, recorded } from "../fixtures/fixture.ts";
import { distance, runNetwork } from "../onnx/compare.ts";
import { nchwToNhwc } from "../reference/layout.ts";

const RESULTS = new URL("results/torchvision.md", import.meta.url);
const EXPORTER = new URL("torchvision_models.py", import.meta.url).pathname;
const KINKS = new URL("torchvision_kinks.py", import.meta.url).pathname;
const MODELS = [
  "resnet18",
  "squeezenet1_1",
  "squeezenet1_0",
  "mobilenet_v3_small",
  "shufflenet_v2_x0_5",
  "shufflenet_v2_x1_0",
  "shufflenet_v2_x1_5",
  "shufflenet_v2_x2_0",
  "mnasnet0_5",
  "mnasnet0_75",
  "mnasnet1_0",
  "mnasnet1_3",
  "mobilenet_v2",
  "mobilenet_v3_large",
  "regnet_y_400mf",
  "efficientnet_b0",
  "googlenet",
  "densenet121",
  "alexnet",
  "resnet34",
  "resnet50",
  "resnext50_32x4d",
  "vgg11",
  "vgg11_bn",
  "convnext_tiny",
  "swin_t",
  "efficientnet_b1",
  "efficientnet_b2",
  "inception_v3",
  "vit_b_16",
  "densenet169",
  "densenet201",
  "densenet161",
  "vgg13",
  "vgg13_bn",
  "vgg16",
  "vgg16_bn",
  "vgg19",
  "vgg19_bn",
  "wide_resnet50_2",
  "resnet101",
  "resnet152",
  "resnext101_32x8d",
  "wide_resnet101_2",
];

/** Bounds on relative errors; PyTorch's own float32 stands beside each. */
const LOGITS_BOUND = 1e-4, GRADIENT_BOUND = 1e-3;
/** Errors of gradients above this are explained by kinks, or not. */
const EXPLAINED = 1e-4;

const HEADER = `# torchvision's classifiers, imported from ONNX

Each model is exported by torchvision 0.14 with BatchNorm unfolded, its initial weights and ten classes, and read by
\`lib/onnx\`; \`deno run -A tests/bench/torchvision.ts\` writes this page, and \`torchvision_models.py\` states what is
compared. Batches of 4. Errors are norms of differences relative to PyTorch's float64: of the logits in evaluation and in
training mode, and of the gradient of the training loss as one vector; in brackets those of PyTorch's own float32.
Bounds are ${LOGITS_BOUND} for logits and ${GRADIENT_BOUND} for gradients. Measured on Mesa's lavapipe, two CPU cores.

The first linear weight of AlexNet and of the VGGs (144 and 392 MiB) is larger than the 128 MiB that this adapter binds at
once, as the specification's least device does: it is bound in parts (\`lib/graph/linear.ts\`). Not quite as torchvision has
them: GoogLeNet and Inception v3 are without auxiliary classifiers; ViT-B/16 is built for images of 64 pixels. Weights that are
zero are drawn anew, ConvNeXt's layer scales are 0.2 to 0.5, and dropout and stochastic depth are off.

A rectifier whose input lies within rounding of zero, and a pooling window with two maxima that near to each other, have a
gradient on either side, and one such unit moves the whole network's by up to 1e-2. Where a gradient's error is above
${EXPLAINED}, \`torchvision_kinks.py\` computes the float64 gradient once more with every unit on the side that it had here:
the last column states how many units that moved, the largest distance of one from its kink (relative to the root mean
square of its layer), and the error that is left, which the bound then applies to.

| model | parameters, M | input | logits, evaluation | logits, training | gradient | measured | remarks |
| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |
`;

/** The day, for a row. */
const today = () => new Date().toISOString().slice(0, 10);

/** How far from float64 something is. */
interface Errors {
  readonly evalLogits: number;
  readonly logits: number;
  readonly gradient: number;
}

/** Norm of the difference of all gradients over the norm of them all. */
function gradientError(
  found: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, ArrayLike<number>>,
): number {
  let difference = 0, norm = 0;
  for (const [name, values] of expected) {
    const own = found.get(name);
    if (own?.length !== values.length) throw new TypeError(`Cannot compare gradients: the import has no ${name}`);
    for (let i = 0; i < values.length; i++) {
      difference += (own[i] - values[i]) ** 2;
      norm += values[i] ** 2;
    }
  }
  return Math.sqrt(difference / norm);
}

/** What `torchvision_models.py` says of a model. */
interface Facts {
  readonly size: number;
  readonly parameters: number;
  /** Of PyTorch's own float32. */
  readonly float32: Errors;
}

/** What `torchvision_kinks.py` says of a gradient. */
interface Kinks {
  /** Units on another side than in float64. */
  readonly units: number;
  /** The largest distance of one from its kink, relative to its layer's root mean square. */
  readonly distance: number;
  /** Of the gradient, with all units on the same sides. */
  readonly error: number;
}

/** Operators with kinks, and the operations that they become. */
const KINKED = new Map([["Relu", "relu"], ["Clip", "clip"], ["MaxPool", "maxPool"]]);

/**
 * What rectifiers gave, and what maxima were taken of, in the order of the file's nodes, which is that of PyTorch's calls:
 * their sides can be told from these.
 */
function sidesOf(bytes: Uint8Array, graph: Graph): Map<string, Tensor> {
  const operations = new Map(graph.operations.map((operation) => [operation.output.name, operation]));
  const sides = new Map<string, Tensor>(), counts = new Map<string, number>();
  for (const { opType, name } of onnxProto.onnx.ModelProto.decode(bytes).graph!.node!) {
    const kind = KINKED.get(opType ?? ""), operation = operations.get(name ?? "");
    if (kind === undefined || operation?.kind !== kind) continue;
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    sides.set(`${kind} ${count}`, kind === "maxPool" ? operation.inputs[0] : operation.output);
  }
  return sides;
}

/** Compares the model whose files are in `folder`; leaves gradients and sides in `own.safetensors` there. */
async function compare(name: string, folder: string): Promise<{ own: Errors; facts: Facts }> {
  const expected = readFixture(new URL(`file://${folder}/expected.bin`));
  const bytes = await Deno.readFile(`${folder}/model.onnx`);
  const model = await readOnnxModel(bytes, name);
  const gradients = new Map(
    [...expected.tensors].filter(([key]) => key.startsWith("gradient "))
      .map(([key, { data }]) => [key.slice("gradient ".length), data as Float32Array]),
  );
  let sides = new Map<string, Tensor>();
  using gpu = await openGpu();
  const batch = {
    images: nchwToNhwc(recorded(expected, "images")),
    labels: Uint32Array.from(recorded(expected, "labels").data),
  };
  const found = await runNetwork(
    gpu,
    onnxNetwork(model),
    batch,
    (graph) => [...(sides = sidesOf(bytes, graph)).values()],
  );
  const own: Errors = {
    evalLogits: distance(found.evalLogits, recorded(expected, "evalLogits").data),
    logits: distance(found.logits, recorded(expected, "logits").data),
    gradient: gradientError(found.gradients, gradients),
  };
  const file: StateDict = new Map();
  for (const key of gradients.keys()) {
    const values = found.gradients.get(key)!;
    file.set(`gradient ${key}`, float32Tensor([values.length], values));
  }
  for (const [key, tensor] of sides) file.set(key, float32Tensor(tensor.shape, found.kept.get(tensor)!));
  await Deno.writeFile(`${folder}/own.safetensors`, writeSafetensors(file));
  const { size, parameters, float32 } = expected.config;
  return { own, facts: { size, parameters, float32 } };
}

function kinksRemark({ units, distance, error }: Kinks): string {
  const moved = units === 1 ? "1 unit" : `${units} units`;
  const remark = `${moved} within ${distance.toExponential(0)} of a kink: ${error.toExponential(1)} without`;
  return error < GRADIENT_BOUND ? remark : `${remark}; gradient over the bound`;
}

function lineOf(name: string, own: Errors, { size, parameters, float32 }: Facts, kinks?: Kinks): string {
  const cells = (["evalLogits", "logits", "gradient"] as const)
    .map((key) => `${own[key].toExponential(1)} (${float32[key].toExponential(1)})`);
  const over = (errors: Errors) => Math.max(errors.evalLogits, errors.logits) >= LOGITS_BOUND;
  const remarks = [
    over(own) ? `logits over the bound${over(float32) ? ", as PyTorch's are" : ""}` : "",
    kinks === undefined ? "" : kinksRemark(kinks),
  ].filter((text) => text !== "").join("; ");
  return `| ${name} | ${(parameters / 1e6).toFixed(1)} | ${size} | ${cells.join(" | ")} | ${today()} | ${remarks} |`;
}

/** Runs a command; its output, or, where it fails, the last line that says why. */
async function run(command: string, args: readonly string[]): Promise<{ line: string; failed: boolean }> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const last = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim().split("\n").at(-1) ?? "";
  return success ? { line: last(stdout), failed: false } : { line: last(stderr), failed: true };
}

/** The line of a model; each runs in processes of its own, so that one that dies takes nothing with it. */
async function measure(name: string, python: string): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "torchvision" });
  const refused = (why: string) => `| ${name} | | | | | | ${today()} | ${why.replaceAll("|", "/")} |`;
  try {
    const exported = await run(python, [EXPORTER, name, folder]);
    if (exported.failed) return refused(`not exported: ${exported.line}`);
    const script = new URL(import.meta.url).pathname;
    const compared = await run(Deno.execPath(), ["run", "-A", "--no-check", script, "--compare", folder, name]);
    if (compared.failed) return refused(compared.line);
    const { own, facts } = JSON.parse(compared.line);
    if (own.gradient <= EXPLAINED) return lineOf(name, own, facts);
    const explained = await run(python, [KINKS, name, folder]);
    if (explained.failed) throw new Error(`Cannot look for the kinks of ${name}: ${explained.line}`);
    return lineOf(name, own, facts, JSON.parse(explained.line));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function linesOf(results: URL): Promise<string[]> {
  const text = await Deno.readTextFile(results).catch(() => "");
  return text.split("\n").filter((line) => MODELS.some((name) => line.startsWith(`| ${name} |`)));
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, { string: ["compare", "python", "at-most"], boolean: ["again"] });
  const names = flags._.map(String);
  if (flags.compare) {
    try {
      console.log(JSON.stringify(await compare(names[0], flags.compare)));
    } catch (error) {
      console.error(String(error instanceof Error ? error.message : error).split("\n")[0]);
      Deno.exit(1);
    }
    return;
  }
  const unknown = names.find((name: string) => !MODELS.includes(name));
  if (unknown !== undefined) throw new RangeError(`Cannot measure ${unknown}: the models are ${MODELS.join(", ")}`);
  const isDone = (lines: readonly string[], name: string) => lines.some((line) => line.startsWith(`| ${name} |`));
  const before = await linesOf(RESULTS);
  const wanted = (names.length > 0 ? names : MODELS).filter((name: string) => flags.again || !isDone(before, name));
  for (const name of wanted.slice(0, Number(flags["at-most"] ?? Infinity))) {
    const line = await measure(name, flags.python ?? "/usr/bin/python3");
    console.log(line);
    const others = (await linesOf(RESULTS)).filter((each) => !isDone([each], name));
    const ordered = MODELS.flatMap((model) => [...others, line].filter((each) => isDone([each], model)));
    await Deno.writeTextFile(RESULTS, `${HEADER}${ordered.join("\n")}\n`);
  }
}

if (import.meta.main) await main();
