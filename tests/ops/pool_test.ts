import { assertEquals, assertThrows } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import { averagePool, globalAveragePool, maxPool } from "../../lib/ops/pool.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import * as average from "../reference/average_pool.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import * as max from "../reference/max_pool.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, mapped, normal, plus } from "./helpers.ts";

/** Windows have at most some hundred float32 terms. */
const TOLERANCE = 1e-6;
/** A maximum is a copy. */
const EXACT = 0;

const gpuTest = gpuTests();

type Build = Parameters<typeof runOperation>[1]["build"];

function caseOf(build: (input: ReturnType<typeof scratch>) => ReturnType<Build>, input: Tensor, dOutput: Tensor) {
  return { operands: { input: { value: input } }, build: (t: Parameters<Build>[0]) => build(t.input), dOutput };
}

for (const operation of ["max_pool", "average_pool", "global_average_pool"]) {
  for (const [name, fixture] of fixturesOf(operation)) {
    gpuTest(`${name}: pooling and its gradient equal PyTorch's`, async (gpu) => {
      const image = (key: string) => {
        const found = recorded(fixture, key);
        return found.shape.length === 4 ? nchwToNhwc(found) : found;
      };
      const build = (input: ReturnType<typeof scratch>) => {
        if (operation === "max_pool") return maxPool("pool", input, fixture.config);
        if (operation === "average_pool") return averagePool("pool", input, fixture.config);
        return globalAveragePool("pool", input);
      };
      const { output, gradients } = await runOperation(gpu, caseOf(build, image("input"), image("dOutput")));
      assertClose("output", output, image("output"), operation === "max_pool" ? EXACT : TOLERANCE);
      assertClose("dInput", gradients.input, image("dInput"), TOLERANCE);
    });
  }
}

/** Input shape, kernel, stride, padding, and the other settings. */
const WINDOWS: [number[], number, number, number, { ceilMode?: boolean; dilation?: number }?][] = [
  [[1, 16, 14, 64], 3, 2, 1],
  [[3, 7, 5, 12], 3, 2, 1],
  [[1, 9, 11, 17], 5, 3, 2],
  [[2, 6, 5, 4], 2, 1, 1],
  [[1, 3, 3, 1], 3, 1, 0],
  [[1, 17, 16, 4], 16, 1, 0],
  [[5, 8, 9, 3], 2, 3, 0],
  [[2, 8, 7, 12], 3, 2, 0, { ceilMode: true }],
  [[1, 9, 6, 3], 2, 3, 1, { ceilMode: true }],
  [[1, 2, 5, 8], 5, 4, 2, { ceilMode: true }],
];
const DILATED: typeof WINDOWS = [
  [[2, 9, 7, 4], 3, 1, 1, { dilation: 2 }],
  [[1, 11, 12, 5], 2, 2, 1, { dilation: 3, ceilMode: true }],
];

for (const [shape, kernel, stride, padding, settings] of [...WINDOWS, ...DILATED]) {
  const what = `[${shape}], kernel ${kernel}, stride ${stride}, padding ${padding}, ${JSON.stringify(settings ?? {})}`;
  const options = { kernel, stride, padding, ...settings };

  gpuTest(`maxPool() and its gradient equal the f64 twin's, ties and all: ${what}`, async (gpu) => {
    // Rounded, so that most windows have several maxima, of which the first gets the gradient.
    const input = mapped(normal(shape, 1), (x) => Math.round(x));
    const output = max.maxPool(input, options), dOutput = normal(output.shape, 2);
    const dInput = max.maxPoolBackward(dOutput, input, options);
    const test = caseOf((t) => maxPool("pool", t, options), input, dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, output, EXACT);
    assertClose("dInput", found.gradients.input, dInput, TOLERANCE);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    assertClose("added dInput", gradients.input, plus(dInput, earlierGradient(shape)), TOLERANCE);
  });

  for (const countIncludePad of settings?.dilation ? [] : [true, false]) {
    gpuTest(`averagePool() and its gradient equal the f64 twin's: ${what}, ${countIncludePad}`, async (gpu) => {
      const geometry = { ...options, countIncludePad };
      const input = normal(shape, 1), output = average.averagePool(input, geometry), dOutput = normal(output.shape, 2);
      const dInput = average.averagePoolBackward(dOutput, input, geometry);
      const test = caseOf((t) => averagePool("pool", t, geometry), input, dOutput);
      const found = await runOperation(gpu, { ...test, accumulate: countIncludePad });
      assertClose("output", found.output, output, TOLERANCE);
      const expected = countIncludePad ? plus(dInput, earlierGradient(shape)) : dInput;
      assertClose("dInput", found.gradients.input, expected, TOLERANCE);
    });
  }
}

for (const shape of [[1, 7, 7, 64], [5, 8, 3, 17], [2, 1, 9, 4], [257, 2, 2, 1]]) {
  gpuTest(`globalAveragePool() and its gradient equal the f64 twin's on [${shape}]`, async (gpu) => {
    const input = normal(shape, 1), dOutput = normal([shape[0], shape[3]], 2);
    const dInput = average.globalAveragePoolBackward(dOutput, shape);
    const test = caseOf((t) => globalAveragePool("pool", t), input, dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, average.globalAveragePool(input), TOLERANCE);
    assertClose("dInput", found.gradients.input, dInput, TOLERANCE);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    assertClose("added dInput", gradients.input, plus(dInput, earlierGradient(shape)), TOLERANCE);
  });
}

for (const channels of [1, 4]) {
  gpuTest(`maxPool() keeps NaN and -Infinity, ${channels} channels`, async (gpu) => {
    const input = mapped(normal([1, 6, 6, channels], 1), (x, i) => {
      const position = Math.floor(i / channels);
      if (position === 7) return NaN;
      return position >= 24 ? -Infinity : x;
    });
    const options = { kernel: 2, stride: 2, padding: 0 };
    const output = max.maxPool(input, options), dOutput = normal(output.shape, 2);
    const found = await runOperation(gpu, caseOf((t) => maxPool("pool", t, options), input, dOutput));
    assertEquals(output.data.filter(Number.isNaN).length, channels);
    assertEquals(found.output.data, output.data);
    assertEquals(found.gradients.input.data, max.maxPoolBackward(dOutput, input, options).data);
  });
}

Deno.test("maxPool() takes its stride from its kernel where none is given", () => {
  assertEquals(maxPool("pool", scratch("input", [2, 9, 7, 3]), { kernel: 3 }).output.shape, [2, 3, 2, 3]);
});

Deno.test("maxPool() and averagePool() reject windows that do not fit", () => {
  const input = scratch("input", [1, 4, 4, 3]);
  for (const pool of [maxPool, averagePool]) {
    assertThrows(() => pool("pool", scratch("input", [4, 3]), { kernel: 2 }), TypeError, "[N, H, W, C]");
    assertThrows(() => pool("pool", input, { kernel: 3, padding: 2 }), TypeError, "at most half of the kernel 3");
    assertThrows(() => pool("pool", input, { kernel: 5 }), TypeError, "at least one window is required");
    assertThrows(() => pool("pool", input, { kernel: 0 }), RangeError, "kernel is 0");
    assertThrows(() => pool("pool", input, { kernel: 2, stride: -1 }), RangeError, "stride is -1");
    // A window that would start in the padding behind the input.
    assertEquals(pool("pool", input, { kernel: 3, stride: 3, padding: 1, ceilMode: true }).output.shape, [1, 2, 2, 3]);
    assertThrows(() => pool("pool", input, { kernel: 2, padding: 0.5 }), RangeError, "padding is 0.5");
  }
  assertThrows(() => maxPool("pool", input, { kernel: 2, dilation: 0 }), RangeError, "dilation is 0");
  assertThrows(() => maxPool("pool", input, { kernel: 3, dilation: 2 }), TypeError, "at least one window is required");
  assertThrows(() => maxPool("pool", scratch("input", [1, 20, 20, 3]), { kernel: 17 }), TypeError, "at most 16x16");
  assertThrows(() => globalAveragePool("pool", scratch("input", [4, 3])), TypeError, "[N, H, W, C]");
});

gpuTest("maxPool() of a window of one is the input itself", async (gpu) => {
  const input = tensor([1, 1, 3, 1], [-3, 0, 2]), dOutput = tensor([1, 1, 3, 1], [1, 2, 3]);
  const found = await runOperation(gpu, caseOf((t) => maxPool("pool", t, { kernel: 1 }), input, dOutput));
  assertEquals(found.output.data, input.data);
  assertEquals(found.gradients.input.data, dOutput.data);
});
