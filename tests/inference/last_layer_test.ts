/** Posteriors of a last layer against the dense ones of `write_curvature.py`. */

import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { softmax } from "../../lib/evaluation/softmax.ts";
import { headLogits, LastLayerLaplace } from "../../lib/inference/last_layer.ts";
import { type HeadAxes, joined } from "../../lib/priors/head_gaussian.ts";
import { symmetricEigen } from "../../lib/priors/eigen.ts";
import { eigenOfSymmetric } from "../../lib/priors/tridiagonal.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";
import recorded from "../fixtures/curvature.json" with { type: "json" };

const { n, classes, precision, head, features, logits, ...reference } = recorded.lastLayer;
const width = head.length / classes - 1;
const DATA = {
  features: Float32Array.from(features.slice(0, n * width)),
  logits: Float32Array.from(logits.slice(0, n * classes)),
  head: Float32Array.from(head),
  numClasses: classes,
};
const TESTED = {
  features: Float32Array.from(features.slice(n * width)),
  logits: Float32Array.from(logits.slice(n * classes)),
};

Deno.test("headLogits() are those that PyTorch recorded of the head", () => {
  headLogits(DATA.features, DATA.head, classes).forEach((value, i) => assertAlmostEquals(value, DATA.logits[i], 1e-5));
});

/** Gauss-Newton matrix of the head in the order of its rows [w b], by sums over examples. */
function denseCurvature(kind: "diagonal" | "kronecker"): Float64Array[] {
  const probabilities = softmax(DATA.logits, classes), columns = width + 1, size = head.length;
  const matrix = Array.from({ length: size }, () => new Float64Array(size));
  const hessian = (row: number, c: number, d: number) => {
    const p = probabilities[row * classes + c];
    return c === d ? p * (1 - p) : -p * probabilities[row * classes + d];
  };
  const input = (row: number, i: number) => i < width ? DATA.features[row * width + i] : 1;
  const mean = (term: (row: number) => number) => {
    let sum = 0;
    for (let row = 0; row < n; row++) sum += term(row);
    return sum / n;
  };
  for (let a = 0; a < size; a++) {
    for (let b = 0; b < size; b++) {
      const [c, i] = [Math.floor(a / columns), a % columns], [d, j] = [Math.floor(b / columns), b % columns];
      if (kind === "kronecker") {
        matrix[a][b] = n * mean((row) => hessian(row, c, d)) * mean((row) => input(row, i) * input(row, j));
      } else if (a === b) matrix[a][b] = n * mean((row) => hessian(row, c, c) * input(row, i) ** 2);
    }
  }
  return matrix;
}

/** The covariance of rows [w b] that a head's Gaussian says. */
function denseCovariance(variance: Float32Array, axes?: HeadAxes): Float64Array[] {
  const columns = width + 1, size = head.length, values = joined(variance, classes);
  const axis = (of: Float32Array | undefined, length: number, i: number, k: number) =>
    of === undefined ? Number(i === k) : of[i * length + k];
  const at = (a: number, k: number) =>
    axis(axes?.outputs, classes, Math.floor(a / columns), Math.floor(k / columns)) *
    axis(axes?.inputs, columns, a % columns, k % columns);
  return Array.from({ length: size }, (_, a) =>
    Float64Array.from({ length: size }, (_, b) => {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += values[k] * at(a, k) * at(b, k);
      return sum;
    }));
}

for (const curvature of ["diagonal", "kronecker"] as const) {
  const expected = reference[curvature];

  Deno.test(`LastLayerLaplace (${curvature}) has the variances and probabilities of the dense posterior`, () => {
    const fitted = LastLayerLaplace.fit(DATA, { curvature, precision });
    assertEquals(fitted.precision, precision);
    assertAlmostEquals(fitted.logEvidence, expected.evidence, 1e-8);
    fitted.logitVariances(TESTED.features).forEach((value, i) =>
      assertAlmostEquals(value / expected.variances[i], 1, 1e-9)
    );
    fitted.predict(TESTED.features, TESTED.logits).forEach((value, i) =>
      assertAlmostEquals(value, expected.probabilities[i], 1e-9)
    );
  });

  Deno.test(`LastLayerLaplace (${curvature}) is a Gaussian over the head with the covariance of the dense posterior`, () => {
    const { mean, variance, axes } = LastLayerLaplace.fit(DATA, { curvature, precision }).gaussian();
    assertEquals(mean, DATA.head);
    const found = denseCovariance(variance, axes), curved = denseCurvature(curvature), size = head.length;
    // (H + tau I) times its covariance is the identity.
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let sum = 0;
        for (let k = 0; k < size; k++) sum += (curved[i][k] + (i === k ? precision : 0)) * found[k][j];
        assertAlmostEquals(sum, i === j ? 1 : 0, 1e-5);
      }
    }
  });

  Deno.test(`LastLayerLaplace (${curvature}) finds the precision of largest evidence`, () => {
    // The reference's grid is 0.1 % apart.
    const fitted = LastLayerLaplace.fit(DATA, { curvature });
    assertAlmostEquals(fitted.precision / expected.best, 1, 2e-3);
    for (const factor of [0.5, 2]) {
      const other = LastLayerLaplace.fit(DATA, { curvature, precision: factor * fitted.precision });
      assert(other.logEvidence < fitted.logEvidence);
    }
  });

  Deno.test(`LastLayerLaplace (${curvature}) is the network itself at infinite precision, and surer with more data`, () => {
    const certain = LastLayerLaplace.fit(DATA, { curvature, precision: 1e12 });
    const plain = softmax(TESTED.logits, classes);
    certain.predict(TESTED.features, TESTED.logits).forEach((p, i) => assertAlmostEquals(p, plain[i], 1e-9));
    const twice = {
      ...DATA,
      features: Float32Array.from([...DATA.features, ...DATA.features]),
      logits: Float32Array.from([...DATA.logits, ...DATA.logits]),
    };
    const few = LastLayerLaplace.fit(DATA, { curvature, precision }).logitVariances(TESTED.features);
    const many = LastLayerLaplace.fit(twice, { curvature, precision }).logitVariances(TESTED.features);
    many.forEach((value, i) => assert(value < few[i]));
    assertThrows(() => LastLayerLaplace.fit(DATA, { curvature, precision: 0 }), RangeError, "at precision 0");
  });
}

/** A symmetric matrix of that rank, with rows of zeros and equal eigenvalues among its cases. */
function matrixOf(size: number, rank: number): Float64Array[] {
  const random = new PhiloxSequence(size, 100, rank);
  const rows = Array.from({ length: rank }, () => Float64Array.from({ length: size }, () => random.normal()));
  return Array.from(
    { length: size },
    (_, i) => Float64Array.from({ length: size }, (_, j) => rows.reduce((sum, row) => sum + row[i] * row[j], 0)),
  );
}

Deno.test("eigenOfSymmetric() rebuilds its matrix from orthogonal vectors, and agrees with Jacobi's rotations", () => {
  const identity = matrixOf(4, 0).map((row, i) => row.map((_, j) => (i === j ? 3 : 0)));
  for (
    const matrix of [
      matrixOf(1, 1),
      matrixOf(2, 2),
      matrixOf(7, 7),
      matrixOf(40, 40),
      matrixOf(30, 5),
      identity,
      matrixOf(5, 0),
    ]
  ) {
    const { values, vectors } = eigenOfSymmetric(matrix);
    const size = matrix.length, most = Math.max(1, ...values.map(Math.abs));
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        const product = vectors[i].reduce((sum, value, p) => sum + value * vectors[j][p], 0);
        assertAlmostEquals(product, i === j ? 1 : 0, 1e-13 * size);
        const element = values.reduce((sum, value, k) => sum + value * vectors[k][i] * vectors[k][j], 0);
        assertAlmostEquals(element, matrix[i][j], 1e-14 * size * most);
      }
    }
    const sorted = values.toSorted().toReversed();
    symmetricEigen(matrix).values.forEach((value, k) => assertAlmostEquals(value, sorted[k], 1e-13 * size * most));
  }
});

Deno.test("eigenOfSymmetric() converges where all but one eigenvalue are nothing beside it: features that hardly differ", () => {
  for (const noise of [1e-6, 1e-7, 1e-8, 1e-9, 0]) {
    const random = new PhiloxSequence(1, 2), width = 129;
    const base = Float32Array.from({ length: width }, () => 0.05 * random.normal());
    const rows = Array.from({ length: 40 }, () => Float64Array.from(base, (x) => x + noise * random.normal()));
    const matrix = Array.from(
      { length: width },
      (_, i) => Float64Array.from({ length: width }, (_, j) => rows.reduce((sum, row) => sum + row[i] * row[j], 0)),
    );
    const { values } = eigenOfSymmetric(matrix), most = Math.max(...values);
    const trace = matrix.reduce((sum, row, i) => sum + row[i], 0);
    assertAlmostEquals(values.reduce((sum, value) => sum + value, 0), trace, 1e-13 * trace);
    assert(values.filter((value) => Math.abs(value) > 1e-3 * most).length === 1);
  }
});

Deno.test("eigenOfSymmetric() finds eigenvalues below zero as well, and refuses what is not finite", () => {
  const { values } = eigenOfSymmetric([Float64Array.of(0, 2), Float64Array.of(2, 3)]);
  assertEquals(values.toSorted().map((value) => Math.round(value * 1e12) / 1e12), Float64Array.of(-1, 4));
  const bad = matrixOf(3, 3);
  bad[1][2] = bad[2][1] = NaN;
  assertThrows(() => eigenOfSymmetric(bad), RangeError, "finite numbers are required");
});
