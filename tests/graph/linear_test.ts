import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { OutOfMemoryError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { applyLinear } from "../../lib/graph/linear.ts";
import { compile } from "../../lib/graph/program.ts";
import { type Operation, partOf, targetOf } from "../../lib/ops/operation.ts";
import { relu } from "../../lib/ops/relu.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { gpuTests, vectorsOf } from "../gpu/harness.ts";

/** Less than the weights have, 288,000 and 840,000 bytes. */
const LIMIT = 2 ** 18;
const BATCH = 5, INPUTS = 24, HIDDEN = 3000, CLASSES = 70;

/** Two layers whose weights are cut where they are larger than `maxPartBytes`. */
function network(maxPartBytes: number) {
  const graph = new Graph();
  const apply = (operation: Operation) => graph.apply(operation);
  const images = graph.external("images", [BATCH, INPUTS]), labels = graph.external("labels", [BATCH]);
  const layer = (name: string, input: typeof images, out: number) => {
    const weight = graph.parameter("backbone", `${name}.weight`, "linear", [out, input.shape[1]]);
    const bias = graph.parameter("backbone", `${name}.bias`, "vector", [out]);
    return applyLinear(apply, name, input, weight, bias, maxPartBytes);
  };
  const hidden = apply(relu("relu", layer("first", images, HIDDEN)));
  const logits = layer("second", hidden, CLASSES);
  apply(softmaxCrossEntropy("loss", logits, labels, {}));
  return { graph, images, labels, logits };
}

const noise = (length: number, scale: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + (i % 7)) * scale);

/** Logits, and the gradient of the loss. */
async function run(gpu: Gpu, maxPartBytes: number): Promise<readonly Float32Array[]> {
  const { graph, images, labels, logits } = network(maxPartBytes), target = targetOf(gpu, { training: true });
  const dispatches = [...lowerForward(graph, target), ...lowerBackward(graph, target)];
  const vectors = vectorsOf(gpu, "weights", (vector) => graph.parametersOf(vector));
  const gradients = vectorsOf(gpu, "gradient", (vector) => graph.parametersOf(vector));
  const buffers = [gpu.createBuffer("images", BATCH * INPUTS * 4), gpu.createBuffer("labels", BATCH * 4)];
  gpu.device.queue.writeBuffer(buffers[0], 0, noise(BATCH * INPUTS, 1));
  gpu.device.queue.writeBuffer(buffers[1], 0, Uint32Array.from({ length: BATCH }, (_, i) => i * 13));
  vectors.backbone.write(noise(vectors.backbone.layout.count, 0.05));
  try {
    const externals = new Map([[images, buffers[0]], [labels, buffers[1]]]);
    const program = await compile(gpu, dispatches, { label: "test", vectors, gradients, externals, keep: [logits] });
    submitLaunches(gpu, "test", program.launches);
    const { buffer, offset } = program.rangeOf(logits);
    const found = [
      new Float32Array(await gpu.read(buffer, offset, BATCH * CLASSES * 4)),
      await gradients.backbone.read(),
    ];
    program.destroy();
    return found;
  } finally {
    [vectors, gradients].flatMap((of) => Object.values(of)).forEach((vector) => vector.destroy());
    buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
  }
}

function distance(found: Float32Array, expected: Float32Array): number {
  assertEquals(found.length, expected.length);
  const square = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0);
  assert(square(expected) > 0);
  return Math.sqrt(square(found.map((x, i) => x - expected[i])) / square(expected));
}

for (const schedule of ["cpu", "gpu"] as const) {
  gpuTests({ maxBindingBytes: LIMIT, schedule })(
    `a weight larger than a binding trains in parts as it does whole (${schedule})`,
    async (gpu) => {
      using unlimited = await openGpu({ schedule });
      const [logits, gradient] = await run(gpu, LIMIT), [wholeLogits, wholeGradient] = await run(unlimited, 2 ** 27);
      // Sums of 3,000 products in another order.
      assert(distance(logits, wholeLogits) < 2e-6, `${distance(logits, wholeLogits)}`);
      assert(distance(gradient, wholeGradient) < 2e-6, `${distance(gradient, wholeGradient)}`);
      await assertRejects(() => run(gpu, 2 ** 27), OutOfMemoryError, "a device that binds more is required");
    },
  );
}

Deno.test("applyLinear() cuts a weight into parts as equal as can be, all of its rows, and leaves a small one whole", () => {
  const products = (maxPartBytes: number) =>
    network(maxPartBytes).graph.operations.filter(({ kind }) => kind === "linear")
      .map(({ inputs: [, weight] }) => weight.shape.at(-2));
  assertEquals(products(2 ** 20), [INPUTS, HIDDEN]);
  // A row of the first weight is 3000 numbers: every eighth begins where a binding may; of 70, every 32nd.
  assertEquals(products(LIMIT), [16, 8, 768, 768, 768, 696]);
  assertEquals(products(64).slice(0, 3), [8, 8, 8]);
  assertEquals(products(64).slice(-2), [32, 24]);
});

Deno.test("partOf() refuses rows at which no binding can begin", () => {
  const weight = new Graph().parameter("head", "weight", "linear", [10, 100]);
  assertThrows(() => partOf(weight, 3, 2), RangeError, "a multiple of 64 is required");
  assertEquals(partOf(weight, 32, 5).shape, [5, 10]);
});
