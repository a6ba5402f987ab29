import { assertEquals, assertThrows } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import { where } from "../../lib/ops/where.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";
import { where as twin } from "../reference/where.ts";
import { mapped, normal } from "./helpers.ts";
import { assertEqualsTwin, testRecords } from "./twin_case.ts";

/** A choice is a copy; gradients of repeated operands sum up to a thousand numbers. */
const TOLERANCES = { output: 0, gradient: 2e-6 };
const LAYOUTS = { condition: "labels" } as const;

const gpuTest = gpuTests();

testRecords(gpuTest, "where", ({ condition, a, b }) => where("y", condition, a, b), TOLERANCES, LAYOUTS);

/** Shapes of the condition, of a and of b. */
const SHAPES: [number[], number[], number[]][] = [
  [[1], [1], [1]],
  [[257], [257], [257]],
  [[7, 8], [3, 7, 8], [3, 7, 8]],
  [[5, 1], [5, 12], []],
  [[4, 9, 9], [2, 4, 9, 9], [1]],
  [[3, 1, 4], [1, 5, 1], [3, 5, 4]],
  [[], [6, 8], [8]],
];

for (const [condition, a, b] of SHAPES) {
  gpuTest(`where() and its gradients equal the f64 twin's: [${condition}], [${a}] and [${b}]`, async (gpu) => {
    await assertEqualsTwin(gpu, {
      operands: { condition: mapped(normal(condition, 1), (x) => x > 0 ? 1 : 0), a: normal(a, 2), b: normal(b, 3) },
      twin,
      config: {},
      build: ({ condition, a, b }) => where("y", condition, a, b),
      tolerances: TOLERANCES,
      layouts: LAYOUTS,
    });
  });
}

gpuTest("where() lets nothing through that was not chosen", async (gpu) => {
  const found = await runOperation(gpu, {
    operands: {
      condition: { value: tensor([3], [0, 7, 1]), layout: "labels" },
      a: { value: tensor([3], [NaN, 2, 3]) },
      b: { value: tensor([], [-Infinity]) },
    },
    build: ({ condition, a, b }) => where("y", condition, a, b),
    dOutput: tensor([3], [10, NaN, 30]),
  });
  assertEquals([...found.output.data], [-Infinity, 2, 3]);
  assertEquals([...found.gradients.a.data], [0, NaN, 30]);
  assertEquals([...found.gradients.b.data], [10]);
});

Deno.test("where() rejects shapes that do not broadcast", () => {
  const reject = (...shapes: number[][]) => {
    const [condition, a, b] = shapes.map((shape, i) => scratch(`x${i}`, shape));
    assertThrows(() => where("y", condition, a, b), TypeError, "equal or 1 are required");
  };
  reject([2], [3], [3]);
  reject([3], [3], [2, 2]);
});
