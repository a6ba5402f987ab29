import { assertEquals, assertThrows } from "@std/assert";
import { nearestRows } from "../../lib/ops/nearest_rows.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";
import { normal } from "./helpers.ts";

const gpuTest = gpuTests();

for (const [rows, columns, width] of [[1, 1, 1], [3, 5, 2], [7, 64, 9], [5, 130, 33], [70, 1000, 4]]) {
  gpuTest(`nearestRows() takes the rows of a plain search: ${rows} of ${columns}`, async (gpu) => {
    const similarities = normal([rows, columns], 1), bank = normal([columns, width], 2);
    const { output, gradients } = await runOperation(gpu, {
      operands: { similarities: { value: similarities }, bank: { value: bank } },
      build: ({ similarities, bank }) => nearestRows("nearest", similarities, bank),
      dOutput: normal([rows, width], 3),
    });
    for (let row = 0; row < rows; row++) {
      const values = similarities.data.subarray(row * columns, (row + 1) * columns);
      const place = values.indexOf(Math.max(...values));
      assertEquals(
        output.data.subarray(row * width, (row + 1) * width),
        bank.data.slice(place * width, (place + 1) * width),
      );
    }
    assertEquals(gradients, {});
  });
}

gpuTest("nearestRows() takes the first of equal ones", async (gpu) => {
  // 70 columns: equal ones meet in one invocation (3 and 67) and in two (5).
  const similarities = tensor([1, 70]);
  for (const column of [5, 67, 3]) similarities.data[column] = 2;
  const bank = tensor([70, 1], Array.from({ length: 70 }, (_, i) => i));
  const { output } = await runOperation(gpu, {
    operands: { similarities: { value: similarities }, bank: { value: bank } },
    build: ({ similarities, bank }) => nearestRows("nearest", similarities, bank),
  });
  assertEquals([...output.data], [3]);
});

Deno.test("nearestRows() rejects what does not fit", () => {
  const build = (similarities: number[], bank: number[]) =>
    nearestRows("nearest", scratch("similarities", similarities), scratch("bank", bank));
  assertThrows(() => build([2, 3], [4, 5]), TypeError, "[N, M] and [M, D] are required");
  assertThrows(() => build([3], [3, 5]), TypeError, "[N, M] and [M, D] are required");
});
