import { assertEquals } from "@std/assert";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { linear } from "../../lib/ops/linear.ts";
import { type Operation, scratch, type Target } from "../../lib/ops/operation.ts";
import { sizeOf } from "../../lib/tensor.ts";

/** Operations counted by each launch that counts any, by the label without the operation's name. */
function flopsOf(operation: Operation, subgroupSize: number): Record<string, number> {
  const target: Target = { schedule: "cpu", tiles: [], subgroupSize, training: true };
  const dOutput = scratch("dOutput", operation.output.shape);
  const backward = operation.backward(target, dOutput, (input) => ({
    tensor: scratch(`d ${input.name}`, input.shape),
    accumulate: false,
  }));
  return Object.fromEntries(
    [...operation.forward(target), ...backward].filter(({ flops }) => flops !== undefined)
      .map(({ label, flops }) => [label.slice(operation.output.name.length + 1), flops!]),
  );
}

/** Input [N, H, W, CIN], kernel, COUT, options and output positions: of each schedule and of grouped convolutions. */
const CASES = [
  { input: [2, 8, 8, 16], kernel: 3, cout: 32, options: { padding: 1 }, positions: [8, 8] },
  { input: [2, 9, 9, 16], kernel: 3, cout: 32, options: { padding: 1, stride: 2 }, positions: [5, 5] },
  { input: [3, 7, 5, 12], kernel: 1, cout: 8, options: {}, positions: [7, 5] },
  { input: [1, 14, 14, 3], kernel: 7, cout: 8, options: { padding: 3, stride: 2 }, positions: [7, 7] },
  { input: [2, 8, 8, 16], kernel: 3, cout: 16, options: { padding: 1, groups: 16 }, positions: [8, 8] },
  { input: [2, 8, 8, 16], kernel: 3, cout: 24, options: { padding: 1, groups: 4, stride: 2 }, positions: [4, 4] },
];

for (const { input, kernel, cout, options, positions } of CASES) {
  Deno.test(`conv2d() counts its operations: [${input}], ${kernel}x${kernel} to ${cout}, ${JSON.stringify(options)}`, () => {
    const groups = "groups" in options ? options.groups! : 1;
    const weight = scratch("w", [kernel, kernel, input[3] / groups, cout]);
    const operation = conv2d("conv", scratch("x", input), weight, options);
    assertEquals(operation.output.shape, [input[0], ...positions, cout]);
    // Each output is a sum of KH * KW * CIN / groups products; each product takes part in three sums.
    const expected = 2 * sizeOf(operation.output.shape) * kernel * kernel * input[3] / groups;
    for (const subgroupSize of [0, 8, 32]) {
      assertEquals(flopsOf(operation, subgroupSize), {
        "forward": expected,
        "input gradient": expected,
        "weight gradient": expected,
      });
    }
  });
}

Deno.test("linear() counts its operations", () => {
  const operation = linear("fc", scratch("x", [4, 64]), scratch("w", [64, 10]), scratch("b", [10]));
  const expected = 2 * 4 * 64 * 10;
  const counted = { "forward": expected, "input gradient": expected, "weight gradient": expected };
  assertEquals(flopsOf(operation, 8), counted);
});
