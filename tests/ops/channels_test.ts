import { assertThrows } from "@std/assert";
import { flatten, padChannels } from "../../lib/ops/channels.ts";
import { type Operation, scratch } from "../../lib/ops/operation.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
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

function caseOf(input: Tensor, build: (input: Device) => Operation, dOutput: Tensor) {
  return { operands: { input: { value: input } }, build: ({ input }: Record<string, Device>) => build(input), dOutput };
}

for (const operation of ["pad_channels", "flatten"]) {
  for (const [name, fixture] of fixturesOf(operation)) {
    gpuTest(`${name}: moving channels and its gradient equal PyTorch's`, async (gpu) => {
      const image = (key: string) => {
        const found = recorded(fixture, key);
        return found.shape.length === 4 ? nchwToNhwc(found) : found;
      };
      const build = (input: Device) =>
        operation === "flatten" ? flatten("flat", input) : padChannels("pad", input, fixture.config);
      const { output, gradients } = await runOperation(gpu, caseOf(image("input"), build, image("dOutput")));
      assertClose("output", output, image("output"), EXACT);
      assertClose("dInput", gradients.input, image("dInput"), EXACT);
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
    const test = caseOf(input, (t) => padChannels("pad", t, options), dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, output, EXACT);
    assertClose("dInput", found.gradients.input, dInput, EXACT);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    assertClose("added dInput", gradients.input, plus(dInput, earlierGradient(shape)), ADDED);
  });
}

for (const shape of [[1, 1, 1, 5], [3, 5, 7, 17], [257, 1, 2, 3], [2, 4, 4, 64]]) {
  gpuTest(`flatten() equals the f64 twin on [${shape}]`, async (gpu) => {
    const input = normal(shape, 1), output = flattenTwin.flatten(input), dOutput = normal(output.shape, 2);
    const dInput = flattenTwin.flattenBackward(dOutput, shape);
    const test = caseOf(input, (t) => flatten("flat", t), dOutput);
    const found = await runOperation(gpu, test);
    assertClose("output", found.output, output, EXACT);
    assertClose("dInput", found.gradients.input, dInput, EXACT);
    const { gradients } = await runOperation(gpu, { ...test, accumulate: true });
    assertClose("added dInput", gradients.input, plus(dInput, earlierGradient(shape)), ADDED);
  });
}

Deno.test("padChannels() and flatten() reject shapes that do not fit", () => {
  const matrix = scratch("matrix", [2, 3]), image = scratch("image", [1, 2, 2, 3]);
  const reject = (fn: () => unknown, message: string, type: typeof TypeError | typeof RangeError = TypeError) =>
    assertThrows(fn, type, message);
  reject(() => padChannels("pad", matrix, { before: 1, after: 1 }), "[N, H, W, C]");
  reject(() => padChannels("pad", image, { before: -1, after: 1 }), "before is -1", RangeError);
  reject(() => padChannels("pad", image, { before: 1, after: 0.5 }), "after is 0.5", RangeError);
  reject(() => padChannels("pad", image, { before: 1, after: 1, stride: 0 }), "stride is 0", RangeError);
  reject(() => flatten("flat", matrix), "[N, H, W, C]");
});
