import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import { findStateDict, matchStateDict, readCheckpoint, stripPrefixes } from "../../lib/checkpoint/state_dict.ts";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { type TorchValue, writeTorch } from "../../lib/checkpoint/torch.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { assertRecorded, everyDType, fixture, tensor } from "./fixtures.ts";

const REAL = new URL("../../../shared/data/checkpoints/", import.meta.url);
const PRESENT = ((): boolean => {
  try {
    return Deno.statSync(REAL).isDirectory;
  } catch {
    return false;
  }
})();

function named(...names: readonly string[]): StateDict {
  return new Map(names.map((name, i) => [name, tensor("float32", [1], Float32Array.of(i))]));
}

for (const name of ["module.pt", "module.pth", "module_parallel.pt", "prefixed.pt", "lightning.ckpt", "simclr.pth"]) {
  Deno.test(`readCheckpoint() finds the weights in ${name}, in order, without prefixes`, async () => {
    assertRecorded(await readCheckpoint(fixture(name), name), name);
  });
}

Deno.test("readCheckpoint() keeps prefixes where it is told to", async () => {
  const found = await readCheckpoint(fixture("prefixed.pt"), "prefixed.pt", { keepPrefixes: true });
  for (const name of found.keys()) assert(name.startsWith("module.backbone."), name);
});

Deno.test("readCheckpoint() reads the same weights from PyTorch and safetensors files", async () => {
  const state = everyDType();
  assertEquals(await readCheckpoint(writeTorch(state), "a.pt"), state);
  const found = await readCheckpoint(writeSafetensors(state), "a.safetensors");
  assertEquals(found, state);
  assertEquals([...found.keys()], [...state.keys()]);
});

Deno.test("readCheckpoint() tells safetensors by its content even where its length looks like a pickle", async () => {
  const bytes = writeSafetensors(named("weight"), { padding: "x".repeat(64) });
  const header = bytes[0] + 256 * bytes[1];
  const padded = writeSafetensors(named("weight"), { padding: "x".repeat(64 + ((0x80 - header) & 0xff)) });
  assertEquals(padded[0], 0x80);
  assertEquals(await readCheckpoint(padded, "p"), named("weight"));
});

Deno.test("readCheckpoint() says what a file is that holds no weights", async () => {
  const message = async (bytes: Uint8Array): Promise<string> =>
    (await assertRejects(() => readCheckpoint(bytes, "FILE"), FormatError)).message;
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  assertStringIncludes(await message(new Uint8Array(0)), "Cannot read FILE as a checkpoint: the file is empty");
  assertStringIncludes(await message(text("<!DOCTYPE html><html>")), "web page");
  assertStringIncludes(await message(text("version https://git-lfs.github.com/spec/v1\n")), "git lfs pull");
  assertStringIncludes(await message(fixture("tensor.pt")), "one tensor of shape [2,3]");
  assertStringIncludes(await message(fixture("evil_only.pt")), "posix.system");
});

/** An inert module with these submodules. */
function moduleOf(children: Map<TorchValue, TorchValue>): TorchValue {
  const state = new Map<TorchValue, TorchValue>([["_parameters", new Map()], ["_buffers", new Map()], [
    "_modules",
    children,
  ]]);
  return { kind: "record", global: "m.Net", args: [], state, items: null, entries: null };
}

Deno.test("findStateDict() refuses values that contain themselves or branch without end", () => {
  for (const key of ["resnet", "model", "state_dict"]) {
    const cycle = new Map<TorchValue, TorchValue>();
    cycle.set(key, cycle);
    if (key === "resnet") cycle.set("head", cycle);
    assertThrows(() => findStateDict(cycle), FormatError);
  }
  const children = new Map<TorchValue, TorchValue>();
  const cycle = moduleOf(children);
  children.set("self", cycle);
  assertThrows(() => findStateDict(cycle), FormatError, "nested");
  let dag = moduleOf(new Map());
  for (let level = 0; level < 40; level++) dag = moduleOf(new Map([["a", dag], ["b", dag]]));
  assertThrows(() => findStateDict(dag), FormatError, "nested");
});

Deno.test("stripPrefixes() strips repeatedly, in part, and never merges two tensors", () => {
  const strip = (...names: readonly string[]): string[] => [...stripPrefixes(named(...names)).keys()];
  assertEquals(strip("module.encoder.conv1.weight", "module.encoder.bn1.bias"), ["conv1.weight", "bn1.bias"]);
  assertEquals(strip("base_model.module.backbone.a"), ["a"]);
  assertEquals(strip("encoder.a", "classifier.b"), ["a", "classifier.b"]);
  assertEquals(strip("encoder.a", "a"), ["encoder.a", "a"]);
  assertEquals(strip("module.encoder.a", "module.a"), ["encoder.a", "a"]);
  assertEquals(strip("module.", "modules.a"), ["module.", "modules.a"]);
});

Deno.test("stripPrefixes() leaves names alone that are the network's own", () => {
  const own = new Set(["class_token", "encoder.pos_embedding", "encoder.layers.0.ln.weight"]);
  const strip = (...names: readonly string[]): string[] => [...stripPrefixes(named(...names), own).keys()];
  assertEquals(strip(...own), [...own]);
  for (const prefix of ["module.", "backbone.", "encoder.", "module.encoder.backbone."]) {
    assertEquals(strip(...[...own].map((name) => prefix + name)), [...own]);
  }
  assertEquals(strip("module.class_token", "encoder.pos_embedding"), ["class_token", "encoder.pos_embedding"]);
  assertEquals(strip("encoder.pos_embedding", "encoder.other"), ["encoder.pos_embedding", "other"]);
  assertEquals(strip("encoder.pos_embedding", "module.encoder.pos_embedding"), [
    "encoder.pos_embedding",
    "module.encoder.pos_embedding",
  ]);
});

Deno.test("matchStateDict() gives the model's tensors in the model's order", () => {
  const found = named("b", "a", "bn.num_batches_tracked", "fc.weight");
  const required = ["a", "b", "other.num_batches_tracked"].map((name) => ({ name, shape: [1] }));
  const matched = matchStateDict(required, found, { ignoreExtra: (name) => name.startsWith("fc.") });
  assertEquals([...matched], [["a", found.get("a")!], ["b", found.get("b")!]]);
});

Deno.test("matchStateDict() lists every difference in one TypeError, eight of each at most", () => {
  const required = [
    { name: "shared", shape: [2, 3] },
    ...Array.from({ length: 10 }, (_, i) => ({ name: `needed${i}`, shape: [1] })),
  ];
  const { message } = assertThrows(() => matchStateDict(required, named("shared", "stray")), TypeError);
  assertStringIncludes(message, "10 missing (needed0, needed1");
  assertStringIncludes(message, "needed7 and 2 more)");
  assert(!message.includes("needed8"));
  assertStringIncludes(message, "1 not in the model (stray)");
  assertStringIncludes(message, "1 of another shape (shared: [1] found, [2,3] required)");
});

Deno.test({
  name: "readCheckpoint() reads the real ResNet-20 and ResNet-56",
  ignore: !PRESENT,
  async fn() {
    for (
      const [file, parameters, tensors] of [["resnet20-12fca82f.th", 269722, 97], [
        "resnet56-4bfd9763.th",
        853018,
        277,
      ]] as const
    ) {
      const found = await readCheckpoint(Deno.readFileSync(new URL(file, REAL)), file);
      const trained = [...found].filter(([name]) => !name.includes("running_"));
      assertEquals(found.size, tensors);
      assertEquals(trained.reduce((count, [, { data }]) => count + data.length, 0), parameters);
      assertEquals([...found.keys()].slice(0, 3), ["conv1.weight", "bn1.weight", "bn1.bias"]);
      for (const { dtype, data } of found.values()) {
        assertEquals(dtype, "float32");
        assert((data as Float32Array).every(Number.isFinite));
      }
    }
    const found = await readCheckpoint(Deno.readFileSync(new URL("resnet20-12fca82f.th", REAL)), "resnet20");
    assertEquals([...found.get("conv1.weight")!.shape], [16, 3, 3, 3]);
    // As PyTorch has them.
    const recorded = [-0.13818146288394928, -0.1624176800251007, 0.8207383155822754];
    assertEquals([...found.get("conv1.weight")!.data.slice(0, 3)], recorded);
  },
});
