import { assertThrows } from "@std/assert";
import { concat, flatten, padChannels } from "../../lib/ops/channels.ts";
import { type Operation, scratch } from "../../lib/ops/operation.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import * as concatTwin from "../reference/concat.ts";
import * as flattenTwin from "../reference/flatten.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import * as padTwin from "../reference/pad_channels.ts";
import type { Tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, normal, plus } from "./helpers.ts";

/** Nothing is rounded: values are moved. */
const EXACT = 0;
/** One float32 addition. */
const ADDED = 1e-7;

type Device = ReturnType<typeof scratch>;

const gpuTest = gpuTests();

function caseOf(inputs: readonly Tensor[], build: (inputs: readonly Device[]) => Operation, dOutput: Tensor) {
  return {
    operands: Object.fromEntries(inputs.map((value, i) => [`input${i}`, { value }])),
    build: (tensors: Readonly<Record<string, Device>>) => build(inputs.map((_, i) => tensors[`input${i}`])),
    dOutput,
  };
}

for (const operation of ["pad_channels", "concat", "flatten"]) {
  for (const [name, fixture] of fixturesOf(operation)) {
    gpuTest(`${name}: moving channels and its gradients equal PyTorch's`, async (gpu) => {
      const image = (key: string) => {
        const found = recorded(fixture, key);
        return found.shape.length === 4 ? nchwToNhwc(found) : found;
      };
      const names = operation === "concat" ? (fixture.config.channels as []).map((_, i) => String(i)) : [""];
      const build = (inputs: readonly Device[]) => {
        if (operation === "concat") return concat("join", inputs);
        return operation === "flatten" ? flatten("flat", inputs[0]) : padChannels("pad", inputs[0], fixture.config);
      };
      const test = caseOf(names.map((i) => image(`input${i}`)), build, image("dOutput"));
      const { output, gradients } = await runOperation(gpu, test);
      assertClose("output", output, image("output"), EXACT);
      names.forEach((i, index) => assertClose("dInput", gradients[`input${index}`], image(`dInput${i}`), EXACT));
    });
  }
}

const PADS: [number[], number, number, number][] = [
  [[1, 1, 1, 1], 0, 0, 1],
  [[3, 7, 5, 16], 8, 8, 2],
  [[1, 8, 8, 17], 3, 5, 2],
  [[5, 6, 7, 4], 4, 0, 3],
  [[1, 5, 5, 4], 2, 6, 1],
];

for (const [shape, before, after, stride] of PADS) {
  gpuTest(`padChannels() equals the f64 twin on [${shape}], ${before} + ${after}, stride ${stride}`, async (gpu) => {
    const options = { before, after, stride };
    const input = normal(shape, 1), output = padTwin.padChannels(input, options), dOutput = normal(output.shape, 2);
    const dInput = padTwin.padChannelsBackward(dOutput, shape, options);
    const test = caseOf([input], ([t]) => padChannels("pad", t, options), dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, output, EXACT);
    assertClose("dInput", found.gradients.input0, dInput, EXACT);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    assertClose("added dInput", gradients.input0, plus(dInput, earlierGradient(shape)), ADDED);
  });
}

for (const channels of [[4, 8, 12], [1, 16], [4, 3, 4], [64], [1, 1, 1, 1, 17]]) {
  gpuTest(`concat() equals the f64 twin for channels ${channels}`, async (gpu) => {
    const inputs = channels.map((c, i) => normal([3, 5, 7, c], i));
    const output = concatTwin.concat(inputs), dOutput = normal(output.shape, 9);
    const test = caseOf(inputs, (tensors) => concat("join", tensors), dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, output, EXACT);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    concatTwin.concatBackward(dOutput, channels).forEach((expected, i) => {
      assertClose(`dInput${i}`, found.gradients[`input${i}`], expected, EXACT);
      const added = plus(expected, earlierGradient(expected.shape));
      assertClose(`added dInput${i}`, gradients[`input${i}`], added, ADDED);
    });
  });
}

gpuTest("concat() of a tensor with itself adds both parts of the gradient", async (gpu) => {
  const input = normal([2, 3, 3, 4], 1), dOutput = normal([2, 3, 3, 8], 2);
  const [first, second] = concatTwin.concatBackward(dOutput, [4, 4]);
  const found = await runOperation(gpu, caseOf([input], ([t]) => concat("join", [t, t]), dOutput));
  assertClose("output", found.output, concatTwin.concat([input, input]), EXACT);
  assertClose("dInput", found.gradients.input0, plus(first, second), ADDED);
});

for (const shape of [[1, 1, 1, 5], [3, 5, 7, 17], [257, 1, 2, 3], [2, 4, 4, 64]]) {
  gpuTest(`flatten() equals the f64 twin on [${shape}]`, async (gpu) => {
    const input = normal(shape, 1), output = flattenTwin.flatten(input), dOutput = normal(output.shape, 2);
    const dInput = flattenTwin.flattenBackward(dOutput, shape);
    const test = caseOf([input], ([t]) => flatten("flat", t), dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, output, EXACT);
    assertClose("dInput", found.gradients.input0, dInput, EXACT);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    assertClose("added dInput", gradients.input0, plus(dInput, earlierGradient(shape)), ADDED);
  });
}

Deno.test("padChannels(), concat() and flatten() reject shapes that do not fit", () => {
  const matrix = scratch("matrix", [2, 3]), image = scratch("image", [1, 2, 2, 3]);
  const reject = (fn: () => unknown, message: string, type: typeof TypeError | typeof RangeError = TypeError) =>
    assertThrows(fn, type, message);
  reject(() => padChannels("pad", matrix, { before: 1, after: 1 }), "[N, H, W, C]");
  reject(() => padChannels("pad", image, { before: -1, after: 1 }), "before is -1", RangeError);
  reject(() => padChannels("pad", image, { before: 1, after: 0.5 }), "after is 0.5", RangeError);
  reject(() => padChannels("pad", image, { before: 1, after: 1, stride: 0 }), "stride is 0", RangeError);
  reject(() => concat("join", []), "equal N, H and W are required");
  reject(() => concat("join", [image, matrix]), "[N, H, W, C]");
  reject(() => concat("join", [image, scratch("other", [1, 2, 1, 3])]), "found [1,2,2,3] [1,2,1,3]");
  reject(() => flatten("flat", matrix), "[N, H, W, C]");
});
