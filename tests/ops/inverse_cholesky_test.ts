import { assert, assertThrows } from "@std/assert";
import { inverseCholesky } from "../../lib/ops/inverse_cholesky.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { inverseCholesky as twin } from "../reference/inverse_cholesky.ts";
import { matmul } from "../reference/matmul.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { mapped, normal } from "./helpers.ts";
import { assertEqualsTwin, testRecords } from "./twin_case.ts";

/** Triangular solves of matrices with a condition number of some dozen. */
const TOLERANCES = { output: 2e-6, gradient: 1e-5 };

const gpuTest = gpuTests();

testRecords(gpuTest, "inverse_cholesky", ({ a }) => inverseCholesky("w", a), TOLERANCES);

/** Covariances of twice as many normal vectors as they have rows, and a tenth of the identity. */
function covariances(leading: readonly number[], size: number): Tensor {
  const x = normal([...leading, 2 * size, size], 1);
  const products = matmul.forward({ a: x, b: x }, { transposeA: true });
  const diagonal = (i: number) => Math.floor(i / size) % size === i % size ? 0.1 : 0;
  return mapped(products, (value, i) => value / (2 * size) + diagonal(i));
}

for (const [leading, size] of [[[], 1], [[3], 1], [[], 2], [[2], 5], [[2, 3], 8], [[1], 17], [[2], 33]] as const) {
  gpuTest(`inverseCholesky() and its gradient equal the f64 twin's: [${[...leading, size, size]}]`, async (gpu) => {
    await assertEqualsTwin(gpu, {
      operands: { a: covariances(leading, size) },
      twin,
      config: {},
      build: ({ a }) => inverseCholesky("w", a),
      tolerances: TOLERANCES,
    });
  });
}

gpuTest("inverseCholesky() of more rows than a workgroup has lanes makes the covariance the identity", async (gpu) => {
  const size = 130, a = covariances([2], size);
  const { output: w } = await runOperation(gpu, {
    operands: { a: { value: a } },
    build: ({ a }) => inverseCholesky("w", a),
  });
  const half = matmul.forward({ a: w, b: a }, {}), whole = matmul.forward({ a: half, b: w }, { transposeB: true });
  whole.data.forEach((value, i) => {
    const wanted = Math.floor(i / size) % size === i % size ? 1 : 0;
    assert(Math.abs(value - wanted) < 1e-4, `${value} at ${i}`);
  });
});

gpuTest("inverseCholesky() of a matrix that is not positive definite is not finite", async (gpu) => {
  const { output } = await runOperation(gpu, {
    operands: { a: { value: tensor([2, 2], [1, 2, 2, 1]) } },
    build: ({ a }) => inverseCholesky("w", a),
  });
  assert(output.data.some((value) => !Number.isFinite(value)), `${output.data}`);
});

Deno.test("inverseCholesky() rejects matrices that are not square", () => {
  assertThrows(() => inverseCholesky("w", scratch("a", [2, 3])), TypeError, "square matrices");
  assertThrows(() => inverseCholesky("w", scratch("a", [4])), TypeError, "square matrices");
});
