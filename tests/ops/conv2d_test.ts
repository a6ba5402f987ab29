import { assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { TILES } from "../../lib/ops/gemm_tile.ts";
import { scratch, type Target } from "../../lib/ops/operation.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import { conv2d as twin, conv2dBackward as twinBackward, type Conv2dOptions } from "../reference/conv2d.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import type { Tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, normal, plus, WAYS } from "./helpers.ts";

/**
 * float32 against float64: one rounding of 6e-8 per term, which adds up as the root of the number of terms: at most
 * some thousands here. A wrong index is off by 1e-3 or more.
 */
const TOLERANCE = 2e-6;

const gpuTest = gpuTests();

/** Both schedules; on a CPU one of the two ways to share operands, as building both for every case takes minutes. */
function waysOf(index: number): Partial<Target>[] {
  return [index % 2 === 0 ? WAYS.subgroups : WAYS["workgroup memory"], WAYS.tiles];
}

/** A convolution with its operands (weights OIHW) and what is expected of it. */
interface Case extends Partial<Conv2dOptions> {
  readonly input: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor;
  readonly dOutput: Tensor;
  readonly target: Partial<Target>;
  readonly accumulate?: boolean;
}

function caseOf({ input, weight, bias, dOutput, target, accumulate, ...options }: Case) {
  return {
    operands: {
      input: { value: input },
      weight: { value: weight, layout: "convolution" as const },
      ...(bias && { bias: { value: bias } }),
    },
    build: ({ input, weight, bias }: Record<string, ReturnType<typeof scratch>>) =>
      conv2d("conv", input, weight, { ...options, bias }),
    dOutput,
    target,
    accumulate,
  };
}

fixturesOf("conv2d").forEach(([name, fixture], index) => {
  gpuTest(`${name}: conv2d() and its gradients equal PyTorch's`, async (gpu) => {
    const image = (key: string) => nchwToNhwc(recorded(fixture, key));
    const { stride, padding, dilation, groups } = fixture.config;
    const bias = fixture.tensors.has("bias") ? recorded(fixture, "bias") : undefined;
    const operands = { input: image("input"), weight: recorded(fixture, "weight"), bias, dOutput: image("dOutput") };
    for (const target of waysOf(index)) {
      const found = await runOperation(gpu, caseOf({ ...operands, stride, padding, dilation, groups, target }));
      assertClose("output", found.output, image("output"), TOLERANCE);
      assertClose("dInput", found.gradients.input, image("dInput"), TOLERANCE);
      assertClose("dWeight", found.gradients.weight, recorded(fixture, "dWeight"), TOLERANCE);
      if (bias) assertClose("dBias", found.gradients.bias, recorded(fixture, "dBias"), TOLERANCE);
    }
  });
});

/** Input [N, H, W, CIN], COUT, kernel, and options. The rows that a comment names are what the shape reaches. */
type Shape = readonly [number, number, number, number, number, number, Partial<Conv2dOptions>?];

const SHAPES: Record<string, Shape> = {
  "1 channel to 3": [1, 3, 5, 1, 3, 3, { padding: 1 }],
  "3 to 1": [3, 5, 3, 3, 1, 3, { padding: 1, stride: 2 }],
  "5 to 12": [2, 4, 7, 5, 12, 1],
  "12 to 16": [1, 5, 5, 12, 16, 3, { padding: 1 }],
  "12 to 5, 1x1 stride 2": [3, 5, 7, 12, 5, 1, { stride: 2 }],
  "4 to 8, 1x1 stride 3, padding 1": [2, 8, 7, 4, 8, 1, { stride: 3, padding: 1 }],
  "16 to 24": [1, 7, 3, 16, 24, 3, { padding: 1, stride: 2 }],
  "17 to 16": [1, 4, 3, 17, 16, 3, { padding: 1 }],
  "16 to 17": [5, 2, 3, 16, 17, 3, { padding: 1 }],
  "24 to 64": [1, 3, 4, 24, 64, 1],
  "64 to 24": [1, 4, 3, 64, 24, 3, { padding: 1 }],
  "64 to 64": [1, 3, 3, 64, 64, 3, { padding: 1 }],
  "1,024 rows and more, odd": [3, 19, 19, 3, 16, 3, { padding: 1 }],
  "1,024 rows and more, stride 2": [1, 66, 65, 5, 6, 3, { padding: 1, stride: 2 }],
  "1,024 rows and more, wide": [1, 33, 32, 16, 16, 1],
  "several splits of the weight gradient": [1, 37, 29, 4, 8, 1],
  "several splits, 3 channels": [2, 25, 23, 3, 5, 3, { padding: 1 }],
  "stem 7x7 stride 2": [1, 21, 18, 3, 64, 7, { padding: 3, stride: 2 }],
  "ResNeXt, 32 groups of 4": [1, 5, 6, 128, 128, 3, { padding: 1, groups: 32 }],
  "ResNeXt, 32 groups of 4, stride 2": [1, 7, 5, 128, 128, 3, { padding: 1, groups: 32, stride: 2 }],
  "groups of 8": [2, 3, 5, 64, 64, 3, { padding: 1, groups: 8 }],
  "groups of 3 to 5": [1, 5, 5, 6, 10, 3, { padding: 1, groups: 2, stride: 2 }],
  "dilation 2": [1, 9, 8, 8, 8, 3, { padding: 2, dilation: 2 }],
  "dilation 4": [1, 11, 9, 4, 4, 3, { padding: 4, dilation: 4 }],
  "dilation 3, stride 2, no padding": [1, 11, 12, 3, 4, 3, { dilation: 3, stride: 2 }],
  "stride 3 past the end": [1, 8, 10, 4, 4, 2, { stride: 3 }],
  "stride 4 over a 3x3 kernel": [1, 9, 10, 4, 4, 3, { stride: 4, padding: 1 }],
  "padding wider than the kernel": [1, 2, 3, 4, 4, 1, { padding: 2 }],
  "depthwise, several splits of the weight gradient": [2, 17, 19, 12, 12, 3, { padding: 1, groups: 12 }],
  "depthwise, 5 channels, stride 2, dilation 2": [1, 11, 9, 5, 5, 3, { padding: 2, groups: 5, stride: 2, dilation: 2 }],
  "depthwise, two outputs to a channel": [1, 6, 7, 6, 12, 3, { padding: 1, groups: 6 }],
  "depthwise, four outputs to a channel, stride 3": [1, 8, 7, 3, 12, 3, { padding: 1, groups: 3, stride: 3 }],
  "groups of 16 to 24": [1, 7, 6, 32, 48, 3, { padding: 1, groups: 2 }],
  "groups of 17, stride 2": [1, 7, 5, 34, 34, 3, { padding: 1, groups: 2, stride: 2 }],
  "groups of several blocks of columns": [1, 5, 6, 160, 144, 3, { padding: 1, groups: 2 }],
  "several blocks of columns, stride 2": [1, 7, 6, 80, 72, 3, { padding: 1, stride: 2 }],
  "weights larger than a cache": [1, 3, 4, 1024, 640, 1],
  "weights larger than a cache, 3x3": [1, 3, 4, 256, 256, 3, { padding: 1 }],
};

Object.entries(SHAPES).forEach(([name, [n, h, w, cin, cout, kernel, given]], index) => {
  gpuTest(`conv2d() and its gradients equal the f64 twin's: ${name}`, async (gpu) => {
    const options = { stride: 1, padding: 0, dilation: 1, groups: 1, ...given };
    const input = normal([n, h, w, cin], 1), weight = normal([cout, cin / options.groups, kernel, kernel], 2);
    const bias = normal([cout], 3);
    const output = twin(input, weight, bias, options);
    const dOutput = normal(output.shape, 4);
    const expected = twinBackward(dOutput, input, weight, options);
    // Every third case adds to what is there: the other half of the kernels.
    const accumulate = index % 3 === 0;
    const before = (t: Tensor) => accumulate ? plus(t, earlierGradient(t.shape)) : t;
    for (const target of waysOf(index)) {
      const found = await runOperation(gpu, caseOf({ ...options, input, weight, bias, dOutput, target, accumulate }));
      assertClose("output", found.output, output, TOLERANCE);
      assertClose("dInput", found.gradients.input, before(expected.dInput), TOLERANCE);
      assertClose("dWeight", found.gradients.weight, before(expected.dWeight), TOLERANCE);
      assertClose("dBias", found.gradients.bias, before(expected.dBias), TOLERANCE);
    }
  });
});

/** More rows and columns than one tile, neither a whole number of them: by vectors and by scalars. */
const TILED_SHAPES: Record<string, Shape> = {
  "16 channels to 136": [2, 9, 9, 16, 136, 3, { padding: 1 }],
  "5 channels to 131, stride 2": [2, 17, 17, 5, 131, 3, { padding: 1, stride: 2 }],
};

for (const tile of TILES) {
  for (const [name, [n, h, w, cin, cout, kernel, given]] of Object.entries(TILED_SHAPES)) {
    gpuTest(`conv2d() in tiles of ${tile.bm} x ${tile.bn} equals the f64 twin: ${name}`, async (gpu) => {
      const options = { stride: 1, padding: 0, dilation: 1, groups: 1, ...given };
      const input = normal([n, h, w, cin], 1), weight = normal([cout, cin, kernel, kernel], 2);
      const output = twin(input, weight, null, options), dOutput = normal(output.shape, 4);
      const { dInput, dWeight } = twinBackward(dOutput, input, weight, options);
      const target: Partial<Target> = { schedule: "gpu", tiles: [tile] };
      const found = await runOperation(gpu, caseOf({ ...options, input, weight, dOutput, target, accumulate: true }));
      assertClose("output", found.output, output, TOLERANCE);
      assertClose("dInput", found.gradients.input, plus(dInput, earlierGradient(dInput.shape)), TOLERANCE);
      assertClose("dWeight", found.gradients.weight, plus(dWeight, earlierGradient(dWeight.shape)), TOLERANCE);
    });
  }
}

for (const [way, target] of Object.entries(WAYS)) {
  gpuTest(`conv2d() by ${way} adds to gradients that are there`, async (gpu) => {
    // Of a 1x1 kernel most positions have no gradient, and keep what is there.
    for (const size of [3, 1]) await addsToGradients(gpu, target, size);
  });
}

async function addsToGradients(gpu: Gpu, target: Partial<Target>, size: number): Promise<void> {
  const options = { stride: 2, padding: size >> 1, dilation: 1, groups: 1 };
  const input = normal([2, 9, 7, 8], 1), weight = normal([12, 8, size, size], 2), bias = normal([12], 3);
  const dOutput = normal(twin(input, weight, bias, options).shape, 4);
  const { dInput, dWeight, dBias } = twinBackward(dOutput, input, weight, options);
  const operands = { input, weight, bias, dOutput };
  const { gradients } = await runOperation(gpu, caseOf({ ...options, ...operands, target, accumulate: true }));
  assertClose("dInput", gradients.input, plus(dInput, earlierGradient(dInput.shape)), TOLERANCE);
  assertClose("dWeight", gradients.weight, plus(dWeight, earlierGradient(dWeight.shape)), TOLERANCE);
  assertClose("dBias", gradients.bias, plus(dBias, earlierGradient(dBias.shape)), TOLERANCE);
}

for (const [way, target] of Object.entries(WAYS)) {
  gpuTest(`conv2d() by ${way} gives the same bits twice`, async (gpu) => {
    const input = normal([2, 25, 23, 3], 1), weight = normal([8, 3, 3, 3], 2), dOutput = normal([2, 25, 23, 8], 4);
    const run = () => runOperation(gpu, caseOf({ input, weight, dOutput, padding: 1, target }));
    const first = await run(), second = await run();
    assertClose("output", second.output, first.output, 0);
    assertClose("dInput", second.gradients.input, first.gradients.input, 0);
    assertClose("dWeight", second.gradients.weight, first.gradients.weight, 0);
  });
}

Deno.test("conv2d() rejects operands that do not fit", () => {
  const input = scratch("input", [2, 5, 5, 6]);
  const weight = (...shape: number[]) => scratch("weight", shape);
  const reject = (fn: () => unknown, message: string, type: typeof TypeError | typeof RangeError = TypeError) =>
    assertThrows(fn, type, message);
  reject(() => conv2d("c", scratch("input", [2, 6]), weight(1, 1, 6, 4)), "[N, H, W, C] tensor is required");
  reject(() => conv2d("c", input, weight(3, 3, 5, 4)), "on 6 input channels");
  reject(() => conv2d("c", input, weight(6, 4)), "is required");
  reject(() => conv2d("c", input, weight(3, 3, 6, 4), { groups: 2 }), "with 2 groups");
  reject(() => conv2d("c", input, weight(3, 3, 3, 5), { groups: 2 }), "COUT a multiple of groups");
  reject(() => conv2d("c", input, weight(7, 7, 6, 4)), "at least one output position is required");
  reject(() => conv2d("c", input, weight(3, 3, 6, 4), { stride: 0 }), "stride is 0", RangeError);
  reject(() => conv2d("c", input, weight(3, 3, 6, 4), { padding: -1 }), "padding is -1", RangeError);
  reject(() => conv2d("c", input, weight(3, 3, 6, 4), { dilation: 1.5 }), "dilation is 1.5", RangeError);
  reject(() => conv2d("c", input, weight(3, 3, 6, 4), { groups: NaN }), "groups is NaN", RangeError);
  reject(() => conv2d("c", input, weight(3, 3, 6, 4), { bias: scratch("bias", [3]) }), "[4] is required");
});
