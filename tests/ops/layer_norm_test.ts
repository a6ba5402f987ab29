import { assertThrows } from "@std/assert";
import { layerNorm } from "../../lib/ops/layer_norm.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests } from "../gpu/harness.ts";
import { layerNorm as twin } from "../reference/layer_norm.ts";
import { assertEqualsTwin, drawn, testRecords } from "./twin_case.ts";

/** Two-pass statistics in float32; an input with mean 100 loses its last two digits before anything is computed. */
const TOLERANCES = { output: 2e-6, gradient: 2e-6 };
const FAR = { output: 2e-5, gradient: 2e-5 };

const gpuTest = gpuTests();

testRecords(
  gpuTest,
  "layer_norm",
  ({ input, weight, bias }, config) => layerNorm("y", input, { ...config, weight, bias }),
  FAR,
);

/** Shape, axes of a row, and which of weight and bias there are. */
const CASES: [number[], number, ("weight" | "bias")[]][] = [
  [[1, 1], 1, ["weight", "bias"]],
  [[3, 3], 1, ["weight", "bias"]],
  [[2, 5, 17], 1, ["weight", "bias"]],
  [[197, 96], 1, ["weight", "bias"]],
  [[3, 7, 768], 1, ["weight", "bias"]],
  [[5, 3, 4, 6], 3, ["weight", "bias"]],
  [[2, 7, 7, 12], 1, ["weight"]],
  [[9, 20], 1, ["bias"]],
  [[9, 11], 1, []],
];

for (const [shape, axes, affine] of CASES) {
  gpuTest(`layerNorm() and its gradients equal the f64 twin's: [${shape}], ${axes} axes, ${affine}`, async (gpu) => {
    const row = shape.slice(-axes), config = { axes, epsilon: 1e-5 };
    await assertEqualsTwin(gpu, {
      operands: drawn({ input: shape, ...Object.fromEntries(affine.map((name) => [name, row])) }),
      twin,
      config,
      build: ({ input, weight, bias }) => layerNorm("y", input, { ...config, weight, bias }),
      tolerances: TOLERANCES,
    });
  });
}

Deno.test("layerNorm() rejects weights that are not shaped like a row", () => {
  const input = scratch("input", [2, 3, 4]);
  const reject = (options: Parameters<typeof layerNorm>[2]) =>
    assertThrows(() => layerNorm("y", input, options), TypeError, "of the shape of a row");
  reject({ weight: scratch("weight", [3]) });
  reject({ axes: 2, weight: scratch("weight", [12]) });
  reject({ weight: scratch("weight", [4]), bias: scratch("bias", [1]) });
  reject({ axes: 4 });
  assertThrows(() => layerNorm("y", input, { axes: 0 }), RangeError, "axes is 0");
});
