import { assertEquals, assertThrows } from "@std/assert";
import { concat, expand, pad, slice, split, transpose } from "../../lib/ops/movement.ts";
import { type Operation, scratch, type Tensor as DeviceTensor } from "../../lib/ops/operation.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import * as twins from "../reference/movement.ts";
import { tensor } from "../reference/tensor.ts";
import type { Twin } from "../reference/twin.ts";
import { assertEqualsTwin, drawn, testRecords } from "./twin_case.ts";

/** Nothing is rounded: values are moved. */
const EXACT = { output: 0, gradient: 0 };

const gpuTest = gpuTests();

/** A case: what is built, its twin, the shapes of the operands, and the settings of both. */
// deno-lint-ignore no-explicit-any
type Build = (tensors: Readonly<Record<string, DeviceTensor>>, config: any) => Operation;
const KINDS: Record<string, [Build, Twin]> = {
  transpose: [({ input }, { permutation }) => transpose("y", input, permutation), twins.transpose],
  slice: [({ input }, { ranges }) => slice("y", input, ranges), twins.slice],
  concat: [(tensors, { axis }) => concat("y", Object.values(tensors), axis), twins.concat],
  pad: [({ input }, config) => pad("y", input, config), twins.pad],
  expand: [({ input }, { shape }) => expand("y", input, shape), twins.expand],
};

for (const [kind, [build]] of Object.entries(KINDS)) {
  testRecords(gpuTest, kind, build, kind === "expand" ? { output: 0, gradient: 1e-6 } : EXACT);
}

const joined = (axis: number, ...shapes: number[][]): [string, number[][], unknown] => ["concat", shapes, { axis }];

const CASES: [string, number[][], unknown][] = [
  ["transpose", [[1]], { permutation: [0] }],
  ["transpose", [[17, 33]], { permutation: [1, 0] }],
  ["transpose", [[2, 9, 4, 16]], { permutation: [0, 2, 1, 3] }],
  ["transpose", [[3, 4, 5, 2, 8]], { permutation: [3, 0, 2, 1, 4] }],
  ["transpose", [[2, 3, 4]], { permutation: [0, 1, 2] }],
  ["slice", [[3, 8, 8, 5]], {
    ranges: [{ axis: 1, start: 0, end: 8, step: 2 }, { axis: 2, start: 1, end: 8, step: 3 }],
  }],
  ["slice", [[5, 16]], { ranges: [{ axis: 1, start: 8, end: 16 }] }],
  ["slice", [[5, 16]], { ranges: [{ axis: 1, start: 3, end: -1 }] }],
  ["slice", [[4, 7, 4]], { ranges: [{ axis: 1, start: 6, end: -8, step: -1 }] }],
  ["slice", [[9]], { ranges: [{ axis: 0, start: 100, end: -100, step: -4 }] }],
  ["slice", [[2, 3]], { ranges: [] }],
  joined(3, [3, 5, 7, 4], [3, 5, 7, 8], [3, 5, 7, 12]),
  joined(3, [1, 2, 2, 1], [1, 2, 2, 16]),
  joined(3, [3, 5, 7, 64]),
  joined(0, [2, 3], [1, 3], [4, 3]),
  joined(1, [5, 1, 8], [5, 9, 8]),
  ["pad", [[2, 5, 6, 3]], { before: [0, 1, 2, 0], after: [0, 0, 1, 0], value: 0.5 }],
  ["pad", [[5, 8]], { before: [1, 4], after: [0, 0], value: -2 }],
  ["pad", [[1]], { before: [0], after: [300], value: 0 }],
  ["pad", [[3, 2]], { before: [0, 0], after: [0, 0], value: 7 }],
];

for (const [kind, shapes, config] of CASES) {
  gpuTest(`${kind}() and its gradients equal the f64 twin's: ${JSON.stringify([shapes, config])}`, async (gpu) => {
    const names = shapes.length === 1 && kind !== "concat" ? ["input"] : shapes.map((_, i) => `input${i}`);
    await assertEqualsTwin(gpu, {
      operands: drawn(Object.fromEntries(names.map((name, i) => [name, shapes[i]]))),
      twin: KINDS[kind][1],
      config,
      build: (tensors) => KINDS[kind][0](tensors, config),
      tolerances: EXACT,
    });
  });
}

for (
  const [from, to] of [[[1], [1]], [[1, 1, 8], [33, 9, 8]], [[5, 1, 1, 3], [5, 4, 20, 3]], [[], [90, 2]], [[7, 1], [
    7,
    8,
  ]]]
) {
  gpuTest(`expand() and its gradient equal the f64 twin's: [${from}] to [${to}]`, async (gpu) => {
    await assertEqualsTwin(gpu, {
      operands: drawn({ input: from }),
      twin: twins.expand,
      config: { shape: to },
      build: ({ input }) => expand("y", input, to),
      tolerances: { output: 0, gradient: 1e-6 },
    });
  });
}

gpuTest("concat() of a tensor with itself adds both parts of the gradient", async (gpu) => {
  const found = await runOperation(gpu, {
    operands: { input: { value: tensor([2, 1], [1, 2]) } },
    build: ({ input }) => concat("y", [input, input]),
    dOutput: tensor([2, 2], [10, 20, 30, 40]),
  });
  assertEquals([...found.output.data], [1, 1, 2, 2]);
  assertEquals([...found.gradients.input.data], [30, 70]);
});

Deno.test("split() is a slice for each part", () => {
  const parts = split("part", scratch("input", [2, 7, 3]), -2, [3, 4]);
  assertEquals(parts.map(({ output }) => output.shape), [[2, 3, 3], [2, 4, 3]]);
});

Deno.test("movements reject what does not fit", () => {
  const x = scratch("x", [2, 3]);
  const reject = (fn: () => unknown, message: string, type: typeof TypeError | typeof RangeError = TypeError) =>
    assertThrows(fn, type, message);
  reject(() => transpose("y", x, [0, 0]), "a permutation of 2 axes");
  reject(() => transpose("y", x, [0]), "a permutation of 2 axes");
  reject(() => transpose("y", x, [0, 2]), "axis is 2", RangeError);
  reject(() => slice("y", x, [{ axis: 1, start: 2, end: 2 }]), "at least one element");
  reject(() => slice("y", x, [{ axis: 1, start: 0, end: 2, step: 0 }]), "step is 0", RangeError);
  reject(() => slice("y", x, [{ axis: 2, start: 0, end: 2 }]), "axis is 2", RangeError);
  reject(() => split("y", x, 1, [1, 1]), "a sum of 3");
  reject(() => split("y", x, 1, [3, 0]), "a part's size is 0", RangeError);
  reject(() => concat("y", []), "at least one is required");
  reject(() => concat("y", [x, scratch("z", [3, 3])]), "equal sizes but for axis 1");
  reject(() => concat("y", [x, scratch("z", [2, 3, 1])]), "equal sizes but for axis 1");
  reject(() => pad("y", x, { before: [1], after: [0, 0] }), "2 sizes on each side");
  reject(() => pad("y", x, { before: [1, -1], after: [0, 0] }), "padding is -1", RangeError);
  reject(() => expand("y", x, [2, 1]), "can be repeated");
  reject(() => expand("y", x, [4, 3]), "equal or 1");
});
