import { assertEquals, assertThrows } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import { reduceMean, reduceSum } from "../../lib/ops/reduce.ts";
import { gpuTests } from "../gpu/harness.ts";
import { reduce as twin } from "../reference/reduce.ts";
import { assertEqualsTwin, drawn, testRecords } from "./twin_case.ts";

/** Sums of up to some thousands of float32 numbers of both signs. */
const TOLERANCES = { output: 2e-6, gradient: 2e-7 };

const gpuTest = gpuTests();

testRecords(gpuTest, "reduce", ({ input }, config) => {
  return (config.mean ? reduceMean : reduceSum)("sum", input, config.axes, config);
}, TOLERANCES);

const CASES: [number[], number[]][] = [
  [[1], [0]],
  [[7, 300], [1]],
  [[5, 64], [0]],
  [[2, 9, 11, 16], [1, 2]],
  [[2, 9, 11, 3], [1, 2]],
  [[2, 3, 4, 5, 8], [0, 2, 3]],
  [[70, 71], [0, 1]],
  [[3, 4, 5], []],
];

for (const [shape, axes] of CASES) {
  for (const mean of [false, true]) {
    const what = `[${shape}] over [${axes}]${mean ? ", a mean" : ""}`;
    gpuTest(`reduceSum() and reduceMean() equal the f64 twin's: ${what}`, async (gpu) => {
      await assertEqualsTwin(gpu, {
        operands: drawn({ input: shape }),
        twin,
        config: { axes, mean, keepDims: !mean },
        build: ({ input }) => (mean ? reduceMean : reduceSum)("sum", input, axes, { keepDims: !mean }),
        tolerances: TOLERANCES,
      });
    });
  }
}

Deno.test("reduceSum() counts negative axes from the end and rejects others", () => {
  const input = scratch("input", [2, 3, 4]);
  assertEquals(reduceSum("sum", input, [-1]).output.shape, [2, 3, 1]);
  assertEquals(reduceSum("sum", input, [-3], { keepDims: false }).output.shape, [3, 4]);
  assertThrows(() => reduceMean("mean", input, [3]), RangeError, "axis is 3");
});
