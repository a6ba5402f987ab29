import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { OutOfMemoryError } from "../../lib/errors.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { fuse } from "../../lib/graph/fuse.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { compile, type ModelVectors, planProgram } from "../../lib/graph/program.ts";
import { add } from "../../lib/ops/add.ts";
import { relu } from "../../lib/ops/relu.ts";
import { scratch, targetOf } from "../../lib/ops/operation.ts";
import { gpuTests, vectorsOf, withGpu } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";
import { assertClose } from "../ops/helpers.ts";
import { buildNetwork, drawParameters, INPUT, LABELS, type Parameters, twinLoss } from "./network.ts";

/** float32 through six layers and two batch normalisations against float64. */
const TOLERANCE = 2e-5;

const gpuTest = gpuTests();

const flat = (parameters: Parameters) => Float32Array.from(Object.values(parameters).flatMap(({ data }) => [...data]));

/** Loss, gradients (backbone, then head) and running statistics after `steps` runs of the same step. */
async function runNetwork(
  gpu: Gpu,
  { trainable, steps = 1, fused = false }: { trainable?: (name: string) => boolean; steps?: number; fused?: boolean } =
    {},
) {
  const { graph: built, input, labels, totals } = buildNetwork();
  const graph = fused ? fuse(built, [totals]) : built;
  const parameters = drawParameters();
  const names = Object.keys(parameters), head = names.filter((name) => name.startsWith("fc"));
  const take = (wanted: string[]) => flat(Object.fromEntries(wanted.map((name) => [name, parameters[name]])));
  const parametersOf = (vector: keyof ModelVectors) => graph.parametersOf(vector);
  const vectors = vectorsOf(gpu, "theta", parametersOf), gradients = vectorsOf(gpu, "gradient", parametersOf);
  vectors.backbone.write(take(names.filter((name) => !head.includes(name))));
  vectors.head.write(take(head));
  vectors.state.write(
    Float32Array.from([...Array(4).fill(0), ...Array(4).fill(1), ...Array(8).fill(0), ...Array(8).fill(1)]),
  );
  for (const vector of [gradients.backbone, gradients.head]) {
    vector.write(new Float32Array(vector.layout.count).fill(NaN));
  }
  const images = gpu.createBuffer("input", INPUT.data.length * 4),
    classes = gpu.createBuffer("labels", 4 * LABELS.length);
  gpu.device.queue.writeBuffer(images, 0, Float32Array.from(INPUT.data));
  gpu.device.queue.writeBuffer(classes, 0, Uint32Array.from(LABELS));
  const target = targetOf(gpu, { training: true });
  const backward = lowerBackward(graph, target, (parameter) => trainable?.(parameter.name) ?? true);
  const program = await compile(gpu, [...lowerForward(graph, target), ...backward], {
    label: "network",
    vectors,
    gradients,
    externals: new Map([[input, images], [labels, classes]]),
    keep: [totals],
  });
  for (let step = 0; step < steps; step++) submitLaunches(gpu, "step", program.launches);
  const { buffer, offset, size } = program.rangeOf(totals);
  const [sum, , counted] = new Float32Array(await gpu.read(buffer, offset, size));
  const gradient = [...await gradients.backbone.read(), ...await gradients.head.read()];
  const shards = vectors.backbone.layout.shards.length;
  const result = { loss: sum / counted, gradient, shards, state: await vectors.state.read(), plan: program.plan };
  program.destroy();
  for (const vector of [...Object.values(vectors), ...Object.values(gradients)]) vector.destroy();
  [images, classes].forEach((one) => gpu.destroyBuffer(one));
  return result;
}

for (const fused of [false, true]) {
  gpuTest(
    `every gradient of a network, fused ${fused}, equals the central difference of the twins' loss`,
    async (gpu) => {
      const { loss, gradient } = await runNetwork(gpu, { fused });
      const parameters = drawParameters();
      assertClose("loss", tensor([], [loss]), tensor([], [twinLoss(parameters)]), TOLERANCE);
      // The third derivative is of order 1 to 100: an error of 1e-8 at this step.
      const step = 1e-5;
      let start = 0;
      for (const [name, { shape, data }] of Object.entries(parameters)) {
        const differences = data.map((value, i) => {
          const at = (moved: number) => {
            data[i] = moved;
            return twinLoss(parameters);
          };
          const difference = (at(value + step) - at(value - step)) / (2 * step);
          data[i] = value;
          return difference;
        });
        const found = tensor(shape, gradient.slice(start, start += data.length));
        assertClose(`gradient of ${name}`, found, tensor(shape, differences), TOLERANCE);
      }
      assertEquals(start, gradient.length);
    },
  );
}

gpuTest("a network gives the same bits in shards of 2 KiB", async (gpu) => {
  const whole = await runNetwork(gpu);
  assertEquals(whole.shards, 1);
  await withGpu({ maxBindingBytes: 2048 }, async (small) => {
    const sharded = await runNetwork(small);
    assert(sharded.shards > 1, `${sharded.shards} shards`);
    assertEquals(sharded.gradient, whole.gradient);
    assertEquals(sharded.loss, whole.loss);
    assertEquals(sharded.state, whole.state);
  });
});

gpuTest("a second run overwrites the gradients and moves the running statistics again", async (gpu) => {
  const once = await runNetwork(gpu), twice = await runNetwork(gpu, { steps: 2 });
  assertEquals(twice.gradient, once.gradient);
  // From 0 towards m by a tenth of the way: 0.1 m, then 0.19 m.
  const ratio = (i: number) => twice.state[i] / once.state[i];
  for (const channel of [0, 1, 2, 3]) assert(Math.abs(ratio(channel) - 1.9) < 1e-4, `${ratio(channel)}`);
});

gpuTest("lowerBackward() of some parameters gives their gradients alone, unchanged", async (gpu) => {
  const all = await runNetwork(gpu), parameters = drawParameters();
  for (const prefix of ["conv1", "fc", "norm2.weight"]) {
    const some = await runNetwork(gpu, { trainable: (name) => name.startsWith(prefix) });
    let start = 0;
    for (const [name, { shape, data }] of Object.entries(parameters)) {
      const range = [start, start += data.length] as const;
      const expected = name.startsWith(prefix) ? all.gradient.slice(...range) : data.map(() => NaN);
      assertClose(name, tensor(shape, some.gradient.slice(...range)), tensor(shape, expected), 0);
    }
    assert(some.plan.lowerBound <= all.plan.lowerBound);
  }
});

gpuTest("lowerBackward() adds the gradients of a tensor's three consumers", async (gpu) => {
  const graph = new Graph();
  const x = graph.parameter("backbone", "x", "vector", [1, 5]), y = graph.parameter("backbone", "y", "vector", [1, 5]);
  const r = graph.apply(relu("r", x));
  const first = graph.apply(add("x + r", x, r)), second = graph.apply(add("x + r + y", first, y));
  const last = graph.apply(add("2x + r + y", second, x));
  const dOutput = graph.external("dOutput", [1, 5]);
  // A loss with a given gradient.
  graph.apply({
    kind: "loss",
    inputs: [last],
    output: scratch("loss", [1]),
    forward: () => [],
    backward: (_target, _dOutput, gradientOf) => add("seed", last, dOutput).backward(_target, dOutput, gradientOf),
  });
  const vectors = vectorsOf(gpu, "theta", (v) => graph.parametersOf(v));
  const gradients = vectorsOf(gpu, "gradient", (v) => graph.parametersOf(v));
  vectors.backbone.write(Float32Array.of(1, -1, 2, -2, 3, 0, 0, 0, 0, 0));
  const buffer = gpu.createBuffer("dOutput", 20);
  gpu.device.queue.writeBuffer(buffer, 0, Float32Array.of(1, 2, 3, 4, 5));
  const target = targetOf(gpu, { training: true });
  const program = await compile(gpu, [...lowerForward(graph, target), ...lowerBackward(graph, target)], {
    label: "fan-in",
    vectors,
    gradients,
    externals: new Map([[dOutput, buffer]]),
  });
  submitLaunches(gpu, "fan-in", program.launches);
  assertEquals([...await gradients.backbone.read()], [3, 4, 9, 8, 15, 1, 2, 3, 4, 5]);
  program.destroy();
  gpu.destroyBuffer(buffer);
  for (const vector of [...Object.values(vectors), ...Object.values(gradients)]) vector.destroy();
});

Deno.test("compile() frees its memory where a binding is larger than one may be, and refuses a plan with such", async () => {
  await withGpu({ maxBindingBytes: 4096 }, async (gpu) => {
    const input: ReturnType<Graph["external"]> = { name: "input", shape: [500], role: "external" };
    const buffer = gpu.createBuffer("input", 8000);
    const dispatches = relu("relu", input).forward(targetOf(gpu, { training: true }));
    const options = { label: "large", vectors: {} as ModelVectors, externals: new Map([[input, buffer]]) };
    await assertRejects(() => compile(gpu, dispatches, options), OutOfMemoryError, "use a smaller batch");
    await assertRejects(
      () => compile(gpu, dispatches, { ...options, externals: new Map() }),
      RangeError,
      "no buffer was given for input",
    );
    const scratched = relu("relu", scratch("activation", [2000])).forward(targetOf(gpu, { training: true }));
    const refused =
      "Cannot bind activation of 8000 bytes for relu forward: the device's limit is 4096 bytes; use a smaller";
    assertThrows(() => planProgram(gpu, scratched), OutOfMemoryError, refused);
    gpu.destroyBuffer(buffer);
  });
});

Deno.test("Graph.parameter() refuses a name twice and keeps the order of declaration", () => {
  const graph = new Graph();
  graph.parameter("backbone", "b", "vector", [2]);
  graph.parameter("head", "b", "vector", [2]);
  graph.parameter("backbone", "a", "convolution", [4, 3, 2, 1]);
  assertThrows(() => graph.parameter("backbone", "b", "vector", [2]), RangeError, "the name is taken");
  assertEquals(graph.parametersOf("backbone").map(({ name }) => name), ["b", "a"]);
  assertEquals(graph.parametersOf("backbone")[1].shape, [2, 1, 3, 4]);
});
