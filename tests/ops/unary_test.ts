import { assert, assertEquals, assertThrows } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import { type Unary, unary } from "../../lib/ops/unary.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";
import { erf, unary as twin } from "../reference/unary.ts";
import { mapped, normal } from "./helpers.ts";
import { assertEqualsTwin, testRecords } from "./twin_case.ts";

/** A few float32 operations; exp within some ulp of its argument, erf within 3e-7. */
const TOLERANCES = { output: 1e-6, gradient: 1e-6 };

const gpuTest = gpuTests();

testRecords(gpuTest, "unary", ({ input }, config) => unary("y", input, config), TOLERANCES);

const FUNCTIONS: Unary[] = [
  { kind: "affine", scale: 0.125, shift: 3 },
  { kind: "leakyRelu", slope: 0.01 },
  { kind: "clip", min: 0, max: 6 },
  { kind: "clip", max: 1 },
  { kind: "clip", min: -0.5 },
  { kind: "sigmoid" },
  { kind: "hardSigmoid", alpha: 0.2, beta: 0.5 },
  { kind: "hardSwish" },
  { kind: "silu" },
  { kind: "tanh" },
  { kind: "erf" },
  { kind: "gelu" },
  { kind: "gelu", approximation: "tanh" },
  { kind: "exp" },
  { kind: "sqrt" },
  { kind: "reciprocal" },
  { kind: "pow", exponent: 1 },
  { kind: "pow", exponent: 2 },
  { kind: "pow", exponent: 5 },
  { kind: "pow", exponent: 0.5 },
  { kind: "pow", exponent: -1.5 },
  { kind: "pow", exponent: 0 },
  { kind: "pow", exponent: -1 },
  { kind: "pow", exponent: -2 },
  { kind: "pow", exponent: -5 },
  { kind: "pow", exponent: 17 },
  { kind: "pow", exponent: 18 },
  { kind: "pow", exponent: -17 },
  { kind: "pow", exponent: -18 },
];

/** Below 0 as well as above, but not near 0, where it is not finite. */
const hasPole = (fn: Unary) => fn.kind === "pow" && fn.exponent < 0 && Number.isInteger(fn.exponent);
const needsPositive = (fn: Unary) =>
  fn.kind === "sqrt" || fn.kind === "reciprocal" || (fn.kind === "pow" && fn.exponent !== Math.floor(fn.exponent));

for (const fn of FUNCTIONS) {
  for (const shape of [[1], [3, 43], [2, 3, 5, 8], [1, 1200]]) {
    gpuTest(`unary() and its gradient equal the f64 twin's: ${JSON.stringify(fn)} of [${shape}]`, async (gpu) => {
      const input = mapped(normal(shape, 1), (x) => {
        if (hasPole(fn)) return x < 0 ? x - 0.5 : x + 0.5;
        return needsPositive(fn) ? Math.abs(x) + 0.2 : 2 * x;
      });
      await assertEqualsTwin(gpu, {
        operands: { input },
        twin,
        config: fn,
        build: ({ input }) => unary("y", input, fn),
        tolerances: TOLERANCES,
      });
    });
  }
}

gpuTest("the error function is within 3e-7 everywhere, and odd", async (gpu) => {
  const points = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 400);
  const { output } = await runOperation(gpu, {
    operands: { input: { value: tensor([4001], points) } },
    build: ({ input }) => unary("y", input, { kind: "erf" }),
  });
  const worst = points.reduce((most, x, i) => Math.max(most, Math.abs(output.data[i] - erf(x))), 0);
  assert(worst < 3e-7, `the greatest error is ${worst}`);
  assertEquals(output.data[2000], 0);
  for (let i = 0; i < 2000; i++) assertEquals(output.data[i], -output.data[4000 - i]);
});

gpuTest("saturating functions stay finite far out, and NaN stays NaN", async (gpu) => {
  const limits: [Unary, number, number][] = [
    [{ kind: "sigmoid" }, 0, 1],
    [{ kind: "tanh" }, -1, 1],
    [{ kind: "erf" }, -1, 1],
    [{ kind: "gelu" }, 0, 3e30],
    [{ kind: "silu" }, 0, 3e30],
    [{ kind: "hardSwish" }, 0, 3e30],
    [{ kind: "clip", min: -2, max: 2 }, -2, 2],
    [{ kind: "hardSigmoid", alpha: 0.2, beta: 0.5 }, 0, 1],
    [{ kind: "leakyRelu", slope: 0.5 }, -1.5e30, 3e30],
  ];
  for (const [fn, low, high] of limits) {
    const { output } = await runOperation(gpu, {
      operands: { input: { value: tensor([3], [-3e30, 3e30, NaN]) } },
      build: ({ input }) => unary("y", input, fn),
    });
    const expected = [Math.fround(low), Math.fround(high), NaN];
    assertEquals([...output.data].map((x) => x === 0 ? 0 : x), expected, JSON.stringify(fn));
  }
});

gpuTest("a power of 0, of infinity and of NaN is what IEEE 754 says", async (gpu) => {
  const powers: [exponent: number, ...expected: number[]][] = [
    [0, 1, 1, 1, 1],
    [-1, Infinity, 0, -0, NaN],
    [-2, Infinity, 0, 0, NaN],
    [17, 0, Infinity, -Infinity, NaN],
    [18, 0, Infinity, Infinity, NaN],
    [-17, Infinity, 0, -0, NaN],
  ];
  for (const [exponent, ...expected] of powers) {
    const { output } = await runOperation(gpu, {
      operands: { input: { value: tensor([4], [0, Infinity, -Infinity, NaN]) } },
      build: ({ input }) => unary("y", input, { kind: "pow", exponent }),
    });
    assertEquals([...output.data].map((x) => x + 0), expected.map((x) => x + 0), String(exponent));
  }
});

Deno.test("unary() rejects constants that are not finite", () => {
  const input = scratch("input", [3]);
  assertThrows(() => unary("y", input, { kind: "pow", exponent: NaN }), RangeError, "Cannot build pow");
  assertThrows(() => unary("y", input, { kind: "pow", exponent: -(2 ** 25) }), RangeError, "at most 16777216");
  assertThrows(() => unary("y", input, { kind: "clip", max: Infinity }), RangeError, "finite numbers are required");
});
