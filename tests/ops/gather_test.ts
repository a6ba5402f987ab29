import { assertEquals, assertThrows } from "@std/assert";
import { gather, gatherTables } from "../../lib/ops/gather.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import { gather as twin } from "../reference/movement.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, normal, plus } from "./helpers.ts";

/** Sums of some dozen gradients; the lines themselves are copies. */
const TOLERANCE = 1e-6;

const gpuTest = gpuTests();

function caseOf(input: Tensor, indices: ArrayLike<number>, axis: number, dOutput: Tensor) {
  const tables = gatherTables(Array.from(indices), input.shape[axis]);
  const table = (data: Uint32Array) => ({ value: tensor([data.length], data), layout: "labels" as const });
  return {
    operands: { input: { value: input }, indices: table(tables.indices), places: table(tables.places) },
    build: ({ input, indices, places }: Record<string, ReturnType<typeof scratch>>) =>
      gather("y", input, axis, { indices, places }),
    dOutput,
  };
}

for (const [name, fixture] of fixturesOf("gather")) {
  gpuTest(`${name}: gather() and its gradient equal PyTorch's`, async (gpu) => {
    const take = (key: string) => recorded(fixture, key);
    const test = caseOf(take("input"), take("indices").data, fixture.config.axis, take("dOutput"));
    const { output, gradients } = await runOperation(gpu, test);
    assertClose("output", output, take("output"), 0);
    assertClose("dInput", gradients.input, take("dInput"), TOLERANCE);
  });
}

/** Input, axis and indices: single numbers, vectors, lines that are never taken, and one that is taken often. */
const CASES: [number[], number, number[]][] = [
  [[1], 0, [0]],
  [[9, 3], 0, [8, 1, 1, 0, 5]],
  [[49, 4], 0, Array.from({ length: 300 }, (_, i) => (i * 31) % 47)],
  [[3, 7, 2, 5], 1, [6, 6, 6, 0, 2, 3, 4, 5, 1, 1, 6]],
  [[5, 33], 1, [32, 0, 7]],
  [[2, 3, 400], 2, Array(60).fill(399)],
];

for (const [shape, axis, indices] of CASES) {
  gpuTest(
    `gather() and its gradient equal the f64 twin's: ${indices.length} of axis ${axis} of [${shape}]`,
    async (gpu) => {
      const input = normal(shape, 1), operands = { input, indices: tensor([indices.length], indices) };
      const output = twin.forward(operands, { axis }), dOutput = normal(output.shape, 2);
      const { input: dInput } = twin.backward(dOutput, operands, { axis });
      const test = caseOf(input, indices, axis, dOutput);
      const found = await runOperation(gpu, test);
      assertClose("output", found.output, output, 0);
      assertClose("dInput", found.gradients.input, dInput, TOLERANCE);
      const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
      assertClose("added dInput", gradients.input, plus(dInput, earlierGradient(shape)), TOLERANCE);
      assertEquals((await runOperation(gpu, test)).gradients, found.gradients);
    },
  );
}

gpuTest("gather() without places takes lines and lets nothing flow back", async (gpu) => {
  const { operands, dOutput } = caseOf(normal([5, 3], 1), [4, 0, 4], 0, normal([3, 3], 2));
  const found = await runOperation(gpu, {
    operands,
    build: ({ input, indices }) => gather("y", input, 0, { indices }),
    dOutput,
  });
  const { data } = operands.input.value;
  assertEquals([...found.output.data], [4, 0, 4].flatMap((line) => [...data.subarray(3 * line, 3 * line + 3)]));
  assertEquals(found.gradients, {});
});

Deno.test("gatherTables() lists the places of each line", () => {
  const { indices, places } = gatherTables([2, 0, 2], 4);
  assertEquals([...indices], [2, 0, 2]);
  assertEquals([...places], [0, 1, 1, 3, 3, 1, 0, 2]);
});

Deno.test("gather() rejects indices and tables that do not fit", () => {
  const table = (length: number) => scratch("table", [length]);
  const x = scratch("x", [2, 3]);
  assertThrows(() => gatherTables([0, 3], 3), RangeError, "index 3 was found");
  assertThrows(() => gatherTables([-1], 3), RangeError, "index -1 was found");
  assertThrows(() => gatherTables([0.5], 3), RangeError, "index 0.5 was found");
  assertThrows(() => gather("y", x, 2, { indices: table(1), places: table(4) }), RangeError, "axis is 2");
  assertThrows(() => gather("y", x, 1, { indices: table(1), places: table(4) }), TypeError, "5 places are required");
});
