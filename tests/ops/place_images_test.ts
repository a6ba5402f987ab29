import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import { BatchSequence } from "../../lib/data/training_batches.ts";
import { createImageSet } from "../../lib/data/dataset.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { placeImages, type PlaceImagesOptions } from "../../lib/ops/place_images.ts";
import { augmentedOnHost } from "../data/helpers.ts";
import { gpuTests } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";
import { assertClose } from "./helpers.ts";
import { EXACT_COLOURS as colours, placed } from "./placing.ts";

const gpuTest = gpuTests();

const cases: Readonly<Record<string, Augmentation>> = {
  "flip": AUGMENTATIONS.flip,
  "crop": AUGMENTATIONS.crop,
  "crop with padding wider than the image": { kind: "crop", padding: 19, flip: false },
  "resized-crop": { kind: "resized-crop", scale: [0.08, 1], ratio: [3 / 4, 4 / 3], flip: true, verticalFlip: true },
  "resized-crop of a fixed area": { kind: "resized-crop", scale: [0.3, 0.3], ratio: [1, 1], flip: false },
  "rotated-crop": { kind: "rotated-crop", margin: 0.2, degrees: 30, flip: true, verticalFlip: true },
  "rotated-crop all the way round": { kind: "rotated-crop", margin: 0, degrees: 180, flip: true },
};

// Images of odd bytes, more than one workgroup's, wide and high.
for (const { height, width } of [{ height: 17, width: 13 }, { height: 8, width: 24 }]) {
  const examples = 9;
  const set = createImageSet({
    name: "noise",
    height,
    width,
    classNames: ["only"],
    labels: new Uint32Array(examples),
    images: Uint8Array.from({ length: examples * height * width * 3 }, (_, at) => (at * at * 31 + at * 7) % 251 + 5),
  });

  for (const [name, augmentation] of Object.entries(cases)) {
    gpuTest(`placeImages() of ${height}x${width} makes the bytes of ${name} that the host makes`, async (gpu) => {
      const options = { batchSize: examples, seed: 3, augmentation };
      const batches = new BatchSequence(set, options), seen = new Set<string>();
      for (const step of [0, 1, 2]) {
        const batch = batches.batchAt(step);
        const output = await placed(gpu, batch, { augmentation, size: set, colours });
        const bytes = augmentedOnHost(set, batch, options);
        const expected = Array.from(bytes, (byte, i) => byte * colours[i % 3] + colours[3 + i % 3]);
        assertClose("output", output, tensor(output.shape, expected), 0);
        seen.add(bytes.join());
      }
      assertEquals(seen.size, 3, "the steps' images are the same: nothing was augmented");
    });
  }
}

Deno.test("every number of a placement is one that a float32 holds", () => {
  const set = createImageSet({
    name: "wide",
    height: 64,
    width: 300,
    classNames: ["only"],
    labels: new Uint32Array(40),
    images: new Uint8Array(40 * 64 * 300 * 3),
  });
  for (const augmentation of Object.values(cases)) {
    const { placements } = new BatchSequence(set, { batchSize: 40, seed: 1, augmentation }).batchAt(0);
    assert(placements!.every(Number.isInteger));
  }
});

Deno.test("placeImages() refuses images without three colours, another size, and placements of another batch", () => {
  const place = (images: readonly number[], parameters: readonly number[], options: Partial<PlaceImagesOptions> = {}) =>
    placeImages("placed", scratch("images", images), scratch("parameters", parameters), scratch("colours", [6]), {
      rotate: false,
      ...options,
    });
  assertThrows(() => place([2, 4, 4, 1], [2, 17]), TypeError, "[N, H, W, 3] is required");
  for (const parameters of [[3, 17], [2, 16], [34]]) {
    assertThrows(() => place([2, 4, 4, 3], parameters), TypeError, "[2, at least 17] is required");
  }
  const size = { height: 3, width: 4 }, resizing = "a resizing to 3 x 4 is required";
  assertThrows(() => place([2, 4, 4, 3], [2, 17], { size }), TypeError, resizing);
  assertThrows(() => place([2, 3, 4, 3], [2, 17], { size, packed: true }), TypeError, resizing);
  assertEquals(place([2, 4, 4, 3], [2, 17], { size, rotate: true }).output.shape, [2, 3, 4, 3]);
});
