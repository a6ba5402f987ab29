import { assertThrows } from "@std/assert";
import { convTranspose2d, type ConvTranspose2dOptions } from "../../lib/ops/conv_transpose2d.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests } from "../gpu/harness.ts";
import { convTranspose2d as twin } from "../reference/conv_transpose2d.ts";
import { assertEqualsTwin, drawn, testRecords } from "./twin_case.ts";

/** float32 sums of some hundred products, as a convolution's. */
const TOLERANCES = { output: 2e-6, gradient: 2e-6 };
const LAYOUTS = { weight: "convolution" } as const;

const gpuTest = gpuTests();

testRecords(
  gpuTest,
  "conv_transpose2d",
  ({ input, weight, bias }, config) => convTranspose2d("y", input, weight, { ...config, bias }),
  TOLERANCES,
  LAYOUTS,
);

const PLAIN = { stride: 1, padding: 0, outputPadding: 0, dilation: 1, groups: 1 };
/** Input [N, H, W, CIN], COUT, kernel, settings: strips, lanes, fine groups, and taps that some positions do not meet. */
const CASES: [number[], number, [number, number], Partial<ConvTranspose2dOptions>][] = [
  [[1, 1, 1, 1], 1, [1, 1], {}],
  [[2, 4, 5, 12], 16, [3, 3], { padding: 1 }],
  [[1, 5, 4, 8], 12, [2, 2], { stride: 2 }],
  [[2, 3, 4, 5], 7, [3, 3], { stride: 2, padding: 1, outputPadding: 1 }],
  [[1, 3, 3, 4], 6, [3, 3], { stride: 2, dilation: 2, padding: 1 }],
  [[1, 4, 3, 8], 8, [3, 3], { stride: 2, padding: 1, groups: 8 }],
  [[1, 4, 3, 6], 4, [3, 2], { stride: 3, groups: 2 }],
  [[1, 3, 2, 3], 4, [1, 1], { stride: 3, outputPadding: 2 }],
];

for (const [input, cout, [kh, kw], given] of CASES) {
  const config = { ...PLAIN, ...given };
  gpuTest(
    `convTranspose2d() and its gradients equal the f64 twin's: [${input}] to ${cout}, ${kh}x${kw}, ${
      JSON.stringify(given)
    }`,
    async (gpu) => {
      await assertEqualsTwin(gpu, {
        operands: drawn({ input, weight: [input[3], cout / config.groups, kh, kw], bias: [cout] }),
        twin,
        config,
        build: ({ input, weight, bias }) => convTranspose2d("y", input, weight, { ...config, bias }),
        tolerances: TOLERANCES,
        layouts: LAYOUTS,
      });
    },
  );
}

Deno.test("convTranspose2d() rejects operands that do not fit", () => {
  const input = scratch("input", [2, 5, 5, 6]);
  const weight = (...shape: number[]) => scratch("weight", shape);
  const reject = (fn: () => unknown, message: string, type: typeof TypeError | typeof RangeError = TypeError) =>
    assertThrows(fn, type, message);
  reject(() => convTranspose2d("y", scratch("input", [2, 6]), weight(3, 3, 4, 6)), "[N, H, W, C]");
  reject(() => convTranspose2d("y", input, weight(3, 3, 4, 5)), "on 6 input channels");
  reject(() => convTranspose2d("y", input, weight(3, 3, 4, 6), { groups: 4 }), "with 4 groups");
  reject(() => convTranspose2d("y", input, weight(3, 3, 4, 6), { bias: scratch("bias", [3]) }), "[4] is required");
  reject(() => convTranspose2d("y", input, weight(3, 3, 4, 6), { stride: 0 }), "stride is 0", RangeError);
  reject(() => convTranspose2d("y", input, weight(3, 3, 4, 6), { outputPadding: 1 }), "less than the stride 1");
  reject(() => convTranspose2d("y", input, weight(1, 1, 4, 6), { padding: 3 }), "at least one output position");
});
