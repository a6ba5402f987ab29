import { assert, assertEquals, assertThrows } from "@std/assert";
import { drawView } from "../../lib/data/augmentation/draw.ts";
import { VIEW_PARAMETERS, viewWeights, type WeightTable, writeDraw } from "../../lib/data/augmentation/table.ts";
import type { View, ViewDraw } from "../../lib/data/augmentation/view.ts";
import { NORMALISATIONS, scaleAndShift } from "../../lib/data/normalisation.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { augmentImages } from "../../lib/ops/augment_images.ts";
import { scratch, type Tensor as DeviceTensor } from "../../lib/ops/operation.ts";
import { readFixture, recorded } from "../fixtures/fixture.ts";
import { gpuTests, type Operand, runOperation } from "../gpu/harness.ts";
import { augmented } from "../reference/augmentation.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";

const FOLDER = new URL("../fixtures/augmentations/", import.meta.url);
const NORMALISATION = NORMALISATIONS.imagenet;
/** Normalised pixels reach 2.6; a float32 has 6e-8 of that, and the mean of a few hundred of them or a hue some more. */
const TOLERANCE = 4e-6;

const gpuTest = gpuTests();

const cases = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort()
  .map((file) => ({ name: file.replace(".bin", ""), fixture: readFixture(new URL(file, FOLDER)) }));

/** int32 words as the harness uploads them. */
function weightsOperand({ shape, values }: WeightTable): Operand {
  return { value: tensor(shape, new Uint32Array(values.buffer)), layout: "labels" };
}

/** Runs the operation on images of one size: image `i` under draw `i`. */
async function run(gpu: Gpu, view: View, images: readonly Tensor[], draws: readonly ViewDraw[]): Promise<Tensor> {
  const [height, width] = images[0].shape;
  const table = new Float32Array(draws.length * VIEW_PARAMETERS);
  draws.forEach((draw, row) => writeDraw(table, row, row, draw));
  const weights = viewWeights(view, { height, width });
  const { scale, shift } = scaleAndShift(NORMALISATION);
  const operands: Record<string, Operand> = {
    images: {
      value: tensor([images.length, height, width, 3], images.flatMap(({ data }) => [...data])),
      layout: "bytes",
    },
    parameters: { value: tensor([draws.length, VIEW_PARAMETERS], table) },
    colours: { value: tensor([6], [...scale, ...shift]) },
    ...weights && {
      horizontal: weightsOperand(weights.horizontal),
      vertical: weightsOperand(weights.vertical),
    },
  };
  const build = (tensors: Readonly<Record<string, DeviceTensor>>) =>
    augmentImages("view", tensors.images, tensors.parameters, tensors.colours, {
      height: view.height,
      width: view.width,
      resize: weights && {
        horizontal: { weights: tensors.horizontal, firstFrom: weights.horizontal.firstFrom },
        vertical: { weights: tensors.vertical, firstFrom: weights.vertical.firstFrom },
      },
      rotation: view.rotation?.interpolation,
      jitter: draws.some(({ changes }) => changes.length > 0),
      grey: draws.some(({ grey }) => grey),
      blurKernel: view.blur?.kernel,
    });
  return (await runOperation(gpu, { operands, build })).output;
}

function worst(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertEquals(found.length, expected.length);
  return Array.from(found).reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0);
}

for (const { name, fixture } of cases) {
  const { view, draw } = fixture.config, image = recorded(fixture, "image"), expected = recorded(fixture, "output");

  Deno.test(`${name}: the twin equals torchvision`, () => {
    const found = augmented(image, view, draw, NORMALISATION);
    assertEquals(found.shape, expected.shape);
    assert(worst(found.data, expected.data) <= 1e-12);
  });

  gpuTest(`${name}: augmentImages() equals torchvision`, async (gpu) => {
    const { data } = await run(gpu, view, [image], [draw]);
    const error = worst(data, expected.data);
    assert(error <= TOLERANCE, `off by ${error}`);
  });
}

/** What SimCLR does to images of any size, and more. */
const VIEWS: Readonly<Record<string, View>> = {
  "resized crops": {
    height: 16,
    width: 14,
    resize: { kind: "random-resized-crop", scale: [0.08, 1], ratio: [3 / 4, 4 / 3], filter: "bicubic" },
    horizontalFlip: 0.5,
    verticalFlip: 0.5,
    jitter: { probability: 0.8, brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.2 },
    grey: 0.2,
    blur: { probability: 0.5, kernel: 5, sigma: [0.1, 2] },
    solarise: { probability: 0.3, threshold: 0.5 },
  },
  "rotated windows": {
    height: 20,
    width: 20,
    resize: { kind: "whole", height: 26, width: 24, filter: "bilinear" },
    rotation: { degrees: 30, interpolation: "bilinear" },
    window: { kind: "random", padding: 3 },
    horizontalFlip: 0.5,
  },
};

for (const [name, view] of Object.entries(VIEWS)) {
  gpuTest(`augmentImages() equals the f64 twin on a batch: ${name}`, async (gpu) => {
    const size = { height: 19, width: 23 };
    const images = Array.from(
      { length: 7 },
      (_, n) =>
        tensor(
          [19, 23, 3],
          Array.from({ length: 19 * 23 * 3 }, (_, i) => (i * 37 + (i >> 4) * (11 + n) + 53 * n) % 256),
        ),
    );
    const draws = images.map((_, example) => drawView(view, size, { seed: 5, step: 3, example, view: 1 }));
    const found = await run(gpu, view, images, draws);
    const pixels = view.height * view.width * 3;
    images.forEach((image, n) => {
      const expected = augmented(image, view, draws[n], NORMALISATION);
      const part = found.data.subarray(n * pixels, (n + 1) * pixels);
      // Where float32 and float64 fall on two sides of solarisation's threshold a pixel may differ by as much as 1e-6.
      const error = worst(part, expected.data);
      assert(error <= 4 * TOLERANCE, `image ${n}: off by ${error}`);
    });
  });
}

gpuTest("augmentImages() cuts, enlarges and blurs images of a pixel or a row", async (gpu) => {
  const view: View = {
    height: 8,
    width: 8,
    resize: { kind: "random-resized-crop", scale: [0.08, 1], ratio: [3 / 4, 4 / 3], filter: "bicubic" },
    horizontalFlip: 0.5,
    blur: { probability: 1, kernel: 15, sigma: [0.1, 2] },
  };
  for (const [height, width] of [[1, 1], [1, 3], [5, 1]]) {
    const pixels = Uint8Array.from({ length: height * width * 3 }, (_, at) => (at * 91 + 40) % 256);
    const image = tensor([height, width, 3], pixels), images = [image, image, image];
    const draws = images.map((_, example) => drawView(view, { height, width }, { seed: 4, step: 0, example, view: 0 }));
    const found = await run(gpu, view, images, draws);
    images.forEach((image, n) => {
      const error = worst(
        found.data.subarray(n * 192, (n + 1) * 192),
        augmented(image, view, draws[n], NORMALISATION).data,
      );
      assert(error <= 4 * TOLERANCE, `${height} x ${width}, image ${n}: off by ${error}`);
    });
  }
});

Deno.test("augmentImages() rejects what does not fit", () => {
  const build = (images: number[], parameters: number[], blurKernel?: number) =>
    augmentImages("view", scratch("images", images), scratch("parameters", parameters), scratch("colours", [6]), {
      height: 8,
      width: 6,
      blurKernel,
    });
  assertThrows(() => build([2, 4, 4, 1], [2, 24]), TypeError, "[B, H, W, 3] is required");
  assertThrows(() => build([2, 4, 4, 3], [2, 20]), TypeError, "at least 23");
  assertThrows(() => build([2, 4, 4, 3], [2, 24], 4), TypeError, "an odd number is required");
  assertThrows(() => build([2, 4, 4, 3], [2, 24], 13), TypeError, "half is below");
});
