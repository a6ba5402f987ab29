/** Frequent Directions on the device, against its twin in float64 and its own bound. */

import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { RowMatrix } from "../../../lib/graph/rows.ts";
import { symmetricEigen } from "../../../lib/priors/eigen.ts";
import { Sketch, type SketchState } from "../../../lib/priors/subspace/sketch.ts";
import { gpuTests, withGpu } from "../../gpu/harness.ts";
import { layoutOf } from "../../inference/workbench.ts";
import { frequentDirections } from "../../reference/frequent_directions.ts";
import { gramOfColumns, stream } from "./dense.ts";

const gpuTest = gpuTests();
/** Tensors of a vector of 25 elements; the gaps between them must not count. */
const SIZES = [7, 17, 1], SIZE = 25;

/** The sketch of a stream, from the start or from a state. */
async function sketchOf(
  gpu: Gpu,
  rows: readonly Float32Array[],
  size: number,
  { from, sizes = SIZES }: { from?: SketchState; sizes?: readonly number[] } = {},
): Promise<SketchState> {
  const matrix = new RowMatrix(gpu, "test", layoutOf(gpu, sizes), size + 1);
  const sketch = await Sketch.create(gpu, matrix);
  try {
    if (from) sketch.writeState(from);
    for (const row of rows) {
      matrix.write(size, row);
      await sketch.append();
    }
    return await sketch.readState();
  } finally {
    sketch.destroy();
    matrix.destroy();
  }
}

const wide = (rows: readonly Float32Array[]) => rows.map((row) => Float64Array.from(row));

gpuTest("a sketch is its twin's in float64, row by row", async (gpu) => {
  for (const [size, count] of [[4, 40], [6, 9], [10, 9], [1, 12]]) {
    const rows = stream(count, SIZE, 5, 0.3), found = await sketchOf(gpu, rows, size);
    const expected = frequentDirections(wide(rows), size);
    assertEquals(found.rows.length, expected.rows.length);
    const most = Math.max(...expected.rows.map((row) => Math.hypot(...row)));
    assertAlmostEquals(found.shrunk, expected.shrunk, 1e-5 * most ** 2);
    // Each row is known but for its sign.
    found.rows.forEach((row, k) => {
      const other = expected.rows[k], sign = Math.sign(row.reduce((sum, value, p) => sum + value * other[p], 0));
      row.forEach((value, p) => assertAlmostEquals(sign * value, other[p], 1e-4 * most));
    });
  }
});

gpuTest("a sketch keeps its bound in every direction, and is exact below its size", async (gpu) => {
  for (const [size, count] of [[4, 40], [6, 30], [10, 9]]) {
    const rows = stream(count, SIZE, 5, 0.3), { rows: kept, shrunk } = await sketchOf(gpu, rows, size);
    assert(kept.length <= size);
    const whole = gramOfColumns(rows), sketched = gramOfColumns(kept), shift = 1e-4;
    const missing = whole.map((value, i) => value - sketched[i] + (i % (SIZE + 1) === 0 ? shift : 0));
    const square = (matrix: Float64Array) =>
      Array.from({ length: SIZE }, (_, p) => matrix.slice(SIZE * p, SIZE * p + SIZE));
    // Eigenvalues of what is missing lie on [0, Delta]; Jacobi wants positive ones.
    const { values } = symmetricEigen(square(missing));
    assert(values[SIZE - 1] >= 0.5 * shift, `smallest ${values[SIZE - 1] - shift}`);
    assert(values[0] - shift <= shrunk + 1e-4, `largest ${values[0] - shift} of ${shrunk}`);
    if (count <= size) assertEquals(shrunk, 0);
    // Ghashami et al., theorem 1.1, for a sketch of size + 1 rows.
    const spectrum = symmetricEigen(square(whole)).values;
    for (let k = 0; k <= size; k++) {
      const tail = spectrum.subarray(k).reduce((a, b) => a + b, 0);
      assert(shrunk * (size + 1 - k) <= tail * (1 + 1e-5), `k = ${k}: ${shrunk} of ${tail}`);
    }
  }
});

Deno.test("a sketch is the same where its rows lie in several buffers", async () => {
  const sizes = [500, 300, 700, 400], rows = stream(9, 1900, 4, 0.2);
  const found: SketchState[] = [];
  await withGpu({}, async (gpu) => void found.push(await sketchOf(gpu, rows, 4, { sizes })));
  await withGpu({ maxBindingBytes: 8192 }, async (gpu) => void found.push(await sketchOf(gpu, rows, 4, { sizes })));
  assertAlmostEquals(found[1].shrunk / found[0].shrunk, 1, 1e-5);
  gramOfColumns(found[0].rows.map((row) => row.subarray(0, 40))).forEach((value, i) =>
    assertAlmostEquals(gramOfColumns(found[1].rows.map((row) => row.subarray(0, 40)))[i], value, 1e-4)
  );
});

gpuTest("a sketch goes on from its state to the same bits, and keeps no rows of nothing", async (gpu) => {
  const rows = stream(20, SIZE, 3, 0.1), whole = await sketchOf(gpu, rows, 3);
  const from = await sketchOf(gpu, rows.slice(0, 9), 3);
  assertEquals(await sketchOf(gpu, rows.slice(9), 3, { from }), whole);
  assertEquals(await sketchOf(gpu, [], 3), { rows: [], shrunk: 0 });
  assertEquals(await sketchOf(gpu, [new Float32Array(SIZE)], 3), { rows: [], shrunk: 0 });
  const matrix = new RowMatrix(gpu, "test", layoutOf(gpu, SIZES), 3), small = await Sketch.create(gpu, matrix);
  assertThrows(() => small.writeState(whole), RangeError, "a sketch of 3 rows: 2 are the most");
  small.destroy();
  matrix.destroy();
});

gpuTest("three hundred rows leave a sketch's rows orthogonal", async (gpu) => {
  const { rows } = await sketchOf(gpu, stream(300, SIZE, 5, 0.3, 7), 5);
  const size = rows.map((row) => Math.hypot(...row));
  rows.forEach((a, k) =>
    rows.slice(0, k).forEach((b, l) => {
      const cosine = a.reduce((sum, value, p) => sum + value * b[p], 0) / size[k] / size[l];
      assert(Math.abs(cosine) < 1e-4, `rows ${k} and ${l}: ${cosine}`);
    })
  );
});
