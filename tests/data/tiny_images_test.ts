import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Augmentation, AUGMENTATIONS, preparationOf } from "../../lib/data/augment.ts";
import { fitImage } from "../../lib/data/fit.ts";
import { augmentPrepared, prepareImage } from "../reference/place_image.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import type { RgbImage } from "../../lib/data/resize.ts";

/** Of one colour: whatever is cut out or resized has it too. */
function plain(width: number, height: number): RgbImage {
  return { width, height, rgb: new Uint8Array(width * height * 3).fill(77) };
}

const SIZES = [[1, 1], [2, 1], [1, 3], [1, 200]] as const;

/** Ten augmentations of an image at a size. */
function augmented(image: RgbImage, size: number, augmentation: Augmentation, fit = RECIPES.cifar10.fit(size)) {
  return Array.from({ length: 10 }, (_, example) => {
    const out = new Uint8Array(size * size * 3).fill(1);
    const prepared = prepareImage(image, preparationOf(fit, augmentation));
    augmentPrepared(prepared, { height: size, width: size }, augmentation, { seed: 1, epoch: 0, example }, out);
    return out;
  });
}

Deno.test("every recipe takes images of one pixel and of one row or column", () => {
  for (const [width, height] of SIZES) {
    const image = plain(width, height);
    for (const [name, recipe] of Object.entries(RECIPES)) {
      for (const size of [1, 8, 96]) {
        const at = `${name}, ${width} x ${height} to ${size}`;
        assert(fitImage(image, recipe.fit(size)).every((byte) => byte === 77), at);
        for (const pixels of augmented(image, size, recipe.augmentation, recipe.fit(size))) {
          // What a rotation turns in from outside is black.
          const allowed = recipe.augmentation.kind === "rotated-crop" ? [0, 77] : [77];
          assert(pixels.every((byte) => allowed.includes(byte)), at);
        }
      }
    }
  }
});

Deno.test("a crop with padding takes images smaller than its padding", () => {
  const seen = new Set<number>();
  for (const size of [1, 2, 3]) {
    for (const pixels of augmented(plain(1, 1), size, AUGMENTATIONS.crop)) pixels.forEach((byte) => seen.add(byte));
  }
  assertEquals([...seen].sort(), [0, 77]);
});

Deno.test("fitImage() refuses sizes that no image has, and strips that would grow past all memory", () => {
  for (const size of [0, -1, 1.5, NaN]) {
    assertThrows(() => fitImage(plain(1, 1), { size, resize: "squash" }), RangeError, `to ${size} pixels`);
  }
  assertThrows(
    () => fitImage(plain(1, 3000), { size: 224, resize: "crop" }),
    RangeError,
    'at most 100000000 are allowed: use the resize mode "squash"',
  );
  assertEquals(fitImage(plain(1, 3000), { size: 224, resize: "squash" }).length, 224 * 224 * 3);
});
