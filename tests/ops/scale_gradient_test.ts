import { assertEquals } from "@std/assert";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { compile } from "../../lib/graph/program.ts";
import { add } from "../../lib/ops/add.ts";
import { scratch, storageOf, targetOf } from "../../lib/ops/operation.ts";
import { relu } from "../../lib/ops/relu.ts";
import { scaleGradient } from "../../lib/ops/scale_gradient.ts";
import { gpuTests, vectorsOf } from "../gpu/harness.ts";

const gpuTest = gpuTests();

for (const size of [5, 8]) {
  gpuTest(
    `scaleGradient() of ${size} numbers is its input, and multiplies the gradient by what the device holds`,
    async (gpu) => {
      const graph = new Graph();
      const x = graph.parameter("backbone", "x", "vector", [1, size]);
      const scale = graph.external("scale", [4]), dOutput = graph.external("dOutput", [1, size]);
      const input = graph.apply(relu("relu", x));
      const output = graph.apply(scaleGradient("scaled", input, scale));
      assertEquals([storageOf(output), output.shape], [input, input.shape]);
      // A loss with a given gradient.
      graph.apply({
        kind: "loss",
        inputs: [output],
        output: scratch("loss", [1]),
        forward: () => [],
        backward: (target, _dOutput, gradientOf) => add("seed", output, dOutput).backward(target, dOutput, gradientOf),
      });
      const vectors = vectorsOf(gpu, "theta", (vector) => graph.parametersOf(vector));
      const gradients = vectorsOf(gpu, "gradient", (vector) => graph.parametersOf(vector));
      vectors.backbone.write(new Float32Array(size).fill(1));
      const buffers = [scale, dOutput].map((tensor) => gpu.createBuffer(tensor.name, 4 * 8));
      const given = Float32Array.from({ length: size }, (_, i) => i - 2);
      gpu.device.queue.writeBuffer(buffers[1], 0, given);
      const target = targetOf(gpu, { training: true });
      const program = await compile(gpu, [...lowerForward(graph, target), ...lowerBackward(graph, target)], {
        label: "scaled",
        vectors,
        gradients,
        externals: new Map([[scale, buffers[0]], [dOutput, buffers[1]]]),
      });
      for (const factor of [4, 0.5]) {
        gpu.device.queue.writeBuffer(buffers[0], 0, Float32Array.of(factor, 7, 7, 7));
        submitLaunches(gpu, "scaled", program.launches);
        assertEquals(await gradients.backbone.read(), given.map((value) => factor * value));
      }
      program.destroy();
      buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
      for (const vector of [...Object.values(vectors), ...Object.values(gradients)]) vector.destroy();
    },
  );
}
