import { assertThrows } from "@std/assert";
import { arithmetic, type ArithmeticKind } from "../../lib/ops/arithmetic.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests } from "../gpu/harness.ts";
import { arithmetic as twin } from "../reference/arithmetic.ts";
import { mapped, normal } from "./helpers.ts";
import { assertEqualsTwin, testRecords } from "./twin_case.ts";

/** One float32 operation per element, a quotient within 2.5 ulp (WGSL); gradients sum up to a thousand of them. */
const TOLERANCES = { output: 3e-7, gradient: 2e-6 };

const gpuTest = gpuTests();

testRecords(gpuTest, "arithmetic", ({ a, b }, { kind }) => arithmetic("result", kind, a, b), TOLERANCES);

/** Equal, vectors along the last axis, gates, scalars, crossed, repeated along vectors of four, and more than 64 terms. */
const SHAPES: [number[], number[]][] = [
  [[1], [1]],
  [[257], [257]],
  [[3, 5, 7, 12], [3, 5, 7, 12]],
  [[2, 9, 9, 17], [17]],
  [[2, 9, 9, 16], [16]],
  [[3, 7, 5, 16], [3, 1, 1, 16]],
  [[3, 7, 5, 3], [3, 1, 1, 3]],
  [[5, 33, 8], [5, 33, 1]],
  [[], [4, 9, 8]],
  [[1, 1], [23, 37]],
  [[4, 1, 8], [5, 4, 1, 1]],
  [[1, 4, 1, 5], [3, 4, 2, 1]],
  [[2, 3, 1, 4, 8], [3, 5, 1, 8]],
];

for (const [a, b] of SHAPES) {
  for (const kind of ["add", "sub", "mul", "div"] as ArithmeticKind[]) {
    gpuTest(`arithmetic() and its gradients equal the f64 twin's: ${kind} of [${a}] and [${b}]`, async (gpu) => {
      const divisor = mapped(normal(b, 2), (x) => x + Math.sign(x) / 2);
      await assertEqualsTwin(gpu, {
        operands: { a: normal(a, 1), b: divisor },
        twin,
        config: { kind },
        build: ({ a, b }) => arithmetic("result", kind, a, b),
        tolerances: TOLERANCES,
      });
    });
  }
}

Deno.test("arithmetic() rejects shapes that do not broadcast", () => {
  const reject = (a: number[], b: number[]) =>
    assertThrows(() => arithmetic("x", "mul", scratch("a", a), scratch("b", b)), TypeError, "equal or 1 are required");
  reject([2, 3], [2]);
  reject([4, 1, 3], [2, 5, 3]);
});
