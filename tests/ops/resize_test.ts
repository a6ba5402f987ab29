import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import { resize, type ResizeTables, resizeTables } from "../../lib/ops/resize.ts";
import { type AxisResize, resizeTaps } from "../../lib/ops/resize_taps.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import { resize as twin } from "../reference/resize.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, normal, plus } from "./helpers.ts";

/** Sums of some dozen products with weights that are rounded to float32. */
const TOLERANCE = 1e-6;

const gpuTest = gpuTests();

type Config = Pick<AxisResize, "mode" | "coordinates" | "rounding"> & { height: number; width: number };

const NAMES = ["rows", "columns", "rowsBack", "columnsBack"] as const;

function caseOf(input: Tensor, config: Config, dOutput: Tensor) {
  const [, h, w] = input.shape, { height, width, ...how } = config;
  const tables = resizeTables({ ...how, from: h, to: height }, { ...how, from: w, to: width });
  const table = (data: Uint32Array) => ({ value: tensor([data.length], data), layout: "labels" as const });
  return {
    operands: {
      input: { value: input },
      ...Object.fromEntries(NAMES.map((name) => [name, table(tables[name])])),
    },
    build: ({ input, ...tensors }: Record<string, ReturnType<typeof scratch>>) =>
      resize("y", input, config, tensors as unknown as ResizeTables<ReturnType<typeof scratch>>),
    dOutput,
  };
}

for (const [name, fixture] of fixturesOf("resize")) {
  gpuTest(`${name}: resize() and its gradient equal PyTorch's`, async (gpu) => {
    const take = (key: string) => recorded(fixture, key);
    const test = caseOf(take("input"), fixture.config as Config, take("dOutput"));
    const { output, gradients } = await runOperation(gpu, test);
    assertClose("output", output, take("output"), TOLERANCE);
    assertClose("dInput", gradients.input, take("dInput"), TOLERANCE);
  });
}

const CASES: [number[], Config][] = [
  [[1, 1, 1, 1], { height: 1, width: 1, mode: "linear", coordinates: "alignCorners" }],
  [[2, 5, 7, 8], { height: 9, width: 3, mode: "linear", coordinates: "halfPixel" }],
  [[1, 4, 6, 3], { height: 1, width: 11, mode: "linear", coordinates: "pytorchHalfPixel" }],
  [[2, 3, 5, 4], { height: 7, width: 10, mode: "linear", coordinates: "asymmetric" }],
  [[1, 6, 5, 5], { height: 11, width: 2, mode: "linear", coordinates: "alignCorners" }],
  [[3, 4, 5, 12], { height: 9, width: 3, mode: "nearest", coordinates: "asymmetric", rounding: "floor" }],
  [[1, 7, 5, 3], { height: 4, width: 8, mode: "nearest", coordinates: "halfPixel" }],
  [[1, 7, 5, 4], { height: 3, width: 10, mode: "nearest", coordinates: "halfPixel", rounding: "roundPreferCeil" }],
  [[1, 7, 5, 2], { height: 12, width: 4, mode: "nearest", coordinates: "alignCorners", rounding: "ceil" }],
  [[2, 5, 6, 4], { height: 11, width: 4, mode: "cubic", coordinates: "halfPixel" }],
];

for (const [shape, config] of CASES) {
  gpuTest(`resize() and its gradient equal the f64 twin's: [${shape}] ${JSON.stringify(config)}`, async (gpu) => {
    const input = normal(shape, 1), output = twin.forward({ input }, config), dOutput = normal(output.shape, 2);
    const { input: dInput } = twin.backward(dOutput, { input }, config);
    const test = caseOf(input, config, dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, output, TOLERANCE);
    assertClose("dInput", found.gradients.input, dInput, TOLERANCE);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    assertClose("added dInput", gradients.input, plus(dInput, earlierGradient(shape)), TOLERANCE);
    assertEquals((await runOperation(gpu, test)).gradients, found.gradients);
  });
}

Deno.test("resizeTaps() divides by a stated scale, and weights add up to 1", () => {
  const axis: AxisResize = { from: 5, to: 7, scale: 1.5, mode: "linear", coordinates: "asymmetric" };
  const taps = resizeTaps(axis);
  assertEquals(taps[3], [[2, 1]]);
  assertEquals(taps[6], [[4, 1]]);
  for (const mode of ["linear", "cubic"] as const) {
    for (const list of resizeTaps({ ...axis, mode })) assertAlmostEquals(list.reduce((sum, [, w]) => sum + w, 0), 1);
  }
});

Deno.test("resize() rejects sizes, scales and tables that do not fit", () => {
  const axis: AxisResize = { from: 4, to: 2, mode: "nearest", coordinates: "asymmetric" };
  assertThrows(() => resizeTaps({ ...axis, to: 0 }), RangeError, "a size of the output is 0");
  assertThrows(() => resizeTaps({ ...axis, scale: 0 }), RangeError, "a scale is 0");
  assertThrows(() => resizeTaps({ ...axis, scale: NaN }), RangeError, "a scale is NaN");
  const table = (length: number) => scratch("table", [length]);
  const tables = { rows: table(7), columns: table(7), rowsBack: table(9), columnsBack: table(9) };
  const size = { height: 2, width: 2 };
  assertEquals(resize("y", scratch("x", [1, 4, 4, 3]), size, tables).output.shape, [1, 2, 2, 3]);
  assertThrows(() => resize("y", scratch("x", [4, 4, 3]), size, tables), TypeError, "[N, H, W, C]");
  assertThrows(
    () => resize("y", scratch("x", [1, 4, 4, 3]), size, { ...tables, rowsBack: table(4) }),
    TypeError,
    "lists of 4 lines",
  );
});
