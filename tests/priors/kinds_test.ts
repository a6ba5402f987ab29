/** What files state of each kind of prior, and what fewer rows of it are. */

import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { FormatError } from "../../lib/errors.ts";
import { curvaturePrior } from "../../lib/priors/curvature.ts";
import { readPrior, writePrior } from "../../lib/priors/files.ts";
import { writePriorParts } from "../../lib/priors/parts.ts";
import { shiftedGaussian } from "../../lib/priors/gaussian.ts";
import type { SwagKind } from "../../lib/priors/kinds.ts";
import { principalComponents } from "../../lib/priors/subspace/principal_components.ts";
import { randomDirections } from "../../lib/priors/subspace/random_directions.ts";
import { tinyPrior } from "../commands/task.ts";
import { gramOfColumns } from "./subspace/dense.ts";

const KINDS: readonly SwagKind[] = ["deviations", "components", "random", "mixture", "curvature"];

Deno.test("files keep a prior's kind; the four files of the original refuse all but deviations", () => {
  const file = tinyPrior();
  for (const kind of KINDS) {
    const prior = { ...file, swag: { ...file.swag, kind } };
    const found = readPrior(writePrior(prior));
    assertEquals(found.swag.kind, kind === "deviations" ? undefined : kind);
    assertEquals(found.swag.covFactor, file.swag.covFactor);
    if (kind === "deviations") assert(writePriorParts(prior).covmat.length > 0);
    else assertThrows(() => writePriorParts(prior), TypeError, `Cannot write a prior of ${kind} as four files`);
  }
});

Deno.test("readPrior() refuses conventions that are of no one kind", () => {
  const file = tinyPrior();
  const { tensors, metadata } = readSafetensors(writePrior({ ...file, swag: { ...file.swag, kind: "components" } }));
  const mixed = writeSafetensors(tensors, { ...metadata, "convention.mean": "weights of the source network" });
  assertThrows(() => readPrior(mixed, "p"), FormatError, "Cannot read p as a prior: its convention for the mean is");
});

/** Rows of the prior of scale 2 and eps 0, so that Q^T Q is as it is. */
function factorOf(covFactor: readonly Float32Array[], kind: SwagKind, rank: number): Float64Array {
  const size = covFactor[0].length;
  const swag = { mean: new Float32Array(size), variance: new Float32Array(size).fill(1), covFactor, kind };
  const { rows } = shiftedGaussian(swag, { scale: 2, eps: 0, rank });
  return rows.length === 0 ? new Float64Array(size * size) : gramOfColumns(rows);
}

const DEVIATIONS = randomDirections(new Float32Array(6).fill(1), 5, 3);

function assertClose(found: Float64Array, expected: Float64Array): void {
  assertEquals(found.length, expected.length);
  found.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-5));
}

Deno.test("rank truncation on load takes the newest deviations, as if no more had been kept", () => {
  const scaled = DEVIATIONS.slice(-3).map((row) => row.map((value) => value * Math.sqrt(4 / 2)));
  assertClose(factorOf(DEVIATIONS, "deviations", 3), gramOfColumns(scaled));
});

Deno.test("rank truncation on load takes the largest components, as they are: the best of that rank", () => {
  const { rows } = principalComponents(DEVIATIONS, 5);
  for (const kind of ["components", "mixture"] as const) {
    for (const rank of [1, 3]) {
      assertClose(factorOf(rows, kind, rank), gramOfColumns(principalComponents(DEVIATIONS, rank).rows));
    }
  }
});

Deno.test("rank truncation on load keeps the expected covariance of random directions", () => {
  const variance = new Float32Array(6).fill(1);
  assertClose(
    factorOf(randomDirections(variance, 5, 3), "random", 2),
    gramOfColumns(randomDirections(variance, 2, 3)),
  );
  assertClose(factorOf(DEVIATIONS, "random", 0), new Float64Array(36));
});

Deno.test("curvaturePrior() of scale 1 is N(theta, 1 / (N F + tau))", () => {
  const weights = Float32Array.from([1, -2, 3]), fisher = Float32Array.from([0, 0.5, 100]);
  const swag = curvaturePrior(weights, fisher, { numData: 10, precision: 4 });
  const { mean, psi, rows } = shiftedGaussian(swag, { scale: 1, eps: 0 });
  assertEquals([mean, rows], [weights, []]);
  [1 / 4, 1 / 9, 1 / 1004].forEach((expected, p) => assertAlmostEquals(psi[p], expected, 1e-7));
  assertThrows(
    () => curvaturePrior(weights, fisher, { numData: 10, precision: 0 }),
    RangeError,
    "weight 0 has curvature 0",
  );
  assertThrows(() => curvaturePrior(weights, fisher, { numData: 10, precision: -1 }), RangeError, "precision -1");
});
