/**
 * What the tests of operations share: operands drawn by seed, PyTorch's records, and the measure of agreement.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Target } from "../../lib/ops/operation.ts";
import { PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import { type Fixture, readFixture } from "../fixtures/fixture.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";

/** Standard normal float32 numbers as float64, so that the device and the twin start from the same. */
export function normal(shape: readonly number[], seed: number): Tensor {
  const random = new PhiloxSequence(seed, Stream.init);
  const drawn = tensor(shape);
  drawn.data.forEach((_, i) => drawn.data[i] = Math.fround(random.normal()));
  return drawn;
}

/** A tensor of the same shape with each element mapped and rounded to float32. */
export function mapped(t: Tensor, fn: (x: number, i: number) => number): Tensor {
  return tensor(t.shape, t.data.map((x, i) => Math.fround(fn(x, i))));
}

/** a + b, elementwise. */
export function plus(a: Tensor, b: Tensor): Tensor {
  return tensor(a.shape, a.data.map((x, i) => x + b.data[i]));
}

/** PyTorch's records of one operation, by case. */
export function fixturesOf(operation: string): [string, Fixture][] {
  const folder = new URL("../fixtures/operations/", import.meta.url);
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const found = files.map((file): [string, Fixture] => [file.replace(".bin", ""), readFixture(new URL(file, folder))])
    .filter(([, { config }]) => config.op === operation);
  assert(found.length > 0, `PyTorch's records hold no ${operation}`);
  return found;
}

/**
 * Norm of the difference relative to the norm of what is expected (an all-zero tensor must be met exactly). A NaN on
 * either side is infinitely far unless the other is NaN too.
 */
export function relativeError(found: Tensor, expected: Tensor): number {
  let difference = 0, norm = 0;
  for (let i = 0; i < expected.data.length; i++) {
    if (Number.isNaN(found.data[i]) !== Number.isNaN(expected.data[i])) return Infinity;
    if (Number.isNaN(expected.data[i]) || found.data[i] === expected.data[i]) continue;
    difference += (found.data[i] - expected.data[i]) ** 2;
    norm += expected.data[i] ** 2;
  }
  for (let i = 0; i < expected.data.length; i++) {
    if (found.data[i] === expected.data[i]) norm += expected.data[i] ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

/** Asserts equal shapes and a relative error of at most `tolerance`. */
export function assertClose(what: string, found: Tensor, expected: Tensor, tolerance: number): void {
  assertEquals(found.shape, expected.shape, what);
  const error = relativeError(found, expected);
  assert(error <= tolerance, `${what}: relative error ${error}, at most ${tolerance} is allowed`);
}

/** Ways to compute a matrix product: what a target must say to get each. */
export const WAYS: Readonly<Record<"subgroups" | "workgroup memory" | "tiles", Partial<Target>>> = {
  subgroups: { schedule: "cpu" },
  "workgroup memory": { schedule: "cpu", subgroupSize: 0 },
  tiles: { schedule: "gpu" },
};
