import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { planMemory } from "../../lib/graph/plan.ts";
import { compile } from "../../lib/graph/program.ts";
import { arithmetic } from "../../lib/ops/arithmetic.ts";
import { linear } from "../../lib/ops/linear.ts";
import { transpose } from "../../lib/ops/movement.ts";
import { scratch, storageOf, type Target, type Tensor, view } from "../../lib/ops/operation.ts";
import { reduceSum } from "../../lib/ops/reduce.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { unary } from "../../lib/ops/unary.ts";
import { gpuTests, vectorsOf } from "../gpu/harness.ts";

const gpuTest = gpuTests();
const TARGET: Target = { schedule: "cpu", tiles: [], subgroupSize: 0, training: true };

/** Runs both passes of a graph over one parameter vector whose loss is the sum of a tensor, and reads the gradient. */
async function gradientOfSum(gpu: Gpu, graph: Graph, last: Tensor, values: readonly number[]): Promise<number[]> {
  // Σ last: its gradient is 1 everywhere.
  graph.apply({
    kind: "loss",
    inputs: [last],
    output: scratch("loss", [1]),
    forward: () => [],
    backward: (target, _dOutput, gradientOf) => {
      const ones = unary("ones", last, { kind: "affine", scale: 0, shift: 1 });
      const sum = reduceSum("sum", last, last.shape.map((_, axis) => axis));
      const seed = reduceSum("seed", ones.output, last.shape.map((_, axis) => axis));
      const scaled = unary("one", seed.output, { kind: "affine", scale: 0, shift: 1 });
      return [
        ...ones.forward(target),
        ...seed.forward(target),
        ...scaled.forward(target),
        ...sum.backward(target, scaled.output, gradientOf),
      ];
    },
  });
  const vectors = vectorsOf(gpu, "theta", (vector) => graph.parametersOf(vector));
  const gradients = vectorsOf(gpu, "gradient", (vector) => graph.parametersOf(vector));
  vectors.backbone.write(Float32Array.from(values));
  const program = await compile(gpu, [...lowerForward(graph, TARGET), ...lowerBackward(graph, TARGET)], {
    label: "views",
    vectors,
    gradients,
    externals: new Map(),
  });
  submitLaunches(gpu, "views", program.launches);
  const gradient = [...await gradients.backbone.read()];
  program.destroy();
  for (const vector of [...Object.values(vectors), ...Object.values(gradients)]) vector.destroy();
  return gradient;
}

gpuTest("reshape() passes values and gradients through, beside other consumers of the tensor", async (gpu) => {
  const graph = new Graph();
  const x = graph.parameter("backbone", "x", "vector", [2, 3]);
  // y = x^2; z = y^T as [6] times y as [6]: Σ z has the gradient (y^T)_i + (transposed back)_i in y.
  const y = graph.apply(unary("y", x, { kind: "pow", exponent: 2 }));
  const flat = graph.apply(reshape("flat", y, [6]));
  const turned = graph.apply(reshape("turned", graph.apply(transpose("t", y, [1, 0])), [6]));
  const product = graph.apply(arithmetic("product", "mul", flat, turned));
  const values = [1, 2, 3, 4, 5, 6];
  const found = await gradientOfSum(gpu, graph, product, values);
  const squares = values.map((value) => value ** 2);
  const order = [0, 3, 1, 4, 2, 5];
  const expected = values.map((value, i) => 2 * value * (squares[order[i]] + squares[order.indexOf(i)]));
  assertEquals(found, expected);
});

gpuTest("reshape() of a parameter, and again, even to the same shape, gives the parameter's gradient", async (gpu) => {
  const graph = new Graph();
  const x = graph.parameter("backbone", "x", "vector", [4, 2]);
  const once = graph.apply(reshape("once", x, [2, 4])), back = graph.apply(reshape("back", once, [4, 2]));
  const twice = graph.apply(reshape("twice", back, [8, 1]));
  const cubes = graph.apply(unary("cubes", twice, { kind: "pow", exponent: 3 }));
  const found = await gradientOfSum(gpu, graph, cubes, [0, 1, 2, 3, 4, 5, 6, 7]);
  assertEquals(found, [0, 1, 2, 3, 4, 5, 6, 7].map((value) => 3 * value ** 2));
});

gpuTest("linear() takes any leading axes, and a parameter that is a view", async (gpu) => {
  const graph = new Graph();
  const x = graph.parameter("backbone", "x", "vector", [2, 3, 2]), w = graph.parameter("backbone", "w", "vector", [4]);
  const y = graph.apply(linear("y", x, graph.apply(reshape("w", w, [2, 2]))));
  assertEquals(y.shape, [2, 3, 2]);
  const values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], weights = [1, -1, 2, 5];
  const found = await gradientOfSum(gpu, graph, y, [...values, ...weights]);
  assertEquals(found, [...Array(6).fill([0, 7]).flat(), 36, 36, 42, 42]);
});

Deno.test("a view has the memory of its tensor and lives as long as any of the two is used", () => {
  const x = scratch("x", [8, 8]), y = scratch("y", [64]), seen = view(x, [4, 16]), same = view(seen, [8, 8]);
  assertEquals(storageOf(seen), x);
  assertEquals(same === x, true);
  const launch = (...bindings: Tensor[]) => ({
    label: "",
    source: "",
    constants: {},
    bindings,
    groups: [1, 1, 1] as const,
  });
  const plan = planMemory([launch(x), launch(y), launch(seen)], new Set([seen]), 2 ** 20);
  assertEquals([...plan.places.keys()], [x, y]);
  assertEquals(plan.lowerBound, 512);
});

Deno.test("reshape() rejects another number of elements", () => {
  const x = scratch("x", [2, 3]);
  assertThrows(() => reshape("y", x, [4]), TypeError, "6 elements are required");
  assertThrows(() => reshape("y", x, [-1, 6]), RangeError, "a size is -1");
});
