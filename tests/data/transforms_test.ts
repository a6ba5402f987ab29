import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import recorded from "../fixtures/transforms.json" with { type: "json" };
import { type Augmentation, preparationOf } from "../../lib/data/augment.ts";
import { fitImage } from "../../lib/data/fit.ts";
import { augmentPrepared, prepareImage, rotateImage } from "../reference/place_image.ts";
import type { RgbImage } from "../../lib/data/resize.ts";

/** The image of tests/fixtures/write_transforms.py. */
function picture(width: number, height: number): RgbImage {
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * 37 + (at >> 3) * 11) % 256);
  return { width, height, rgb };
}

function digest(pixels: Uint8Array): string {
  return createHash("sha256").update(pixels).digest("hex");
}

for (const { width, height, bicubicCrop, bicubicSquash, rotations } of recorded) {
  const image = picture(width, height);

  Deno.test(`fitImage() resizes ${width} x ${height} bicubically as torchvision does, to the byte`, () => {
    const crop = { size: 14, shortSide: 16, resize: "crop", filter: "bicubic" } as const;
    assertEquals(digest(fitImage(image, crop)), bicubicCrop);
    assertEquals(digest(fitImage(image, { size: 80, resize: "squash", filter: "bicubic" })), bicubicSquash);
  });

  Deno.test(`rotateImage() turns ${width} x ${height} as Pillow does, to the byte`, () => {
    for (const [angle, expected] of Object.entries(rotations)) {
      assertEquals(digest(rotateImage(image, Number(angle)).rgb), expected, angle);
    }
  });
}

const FIT = { size: 8, resize: "squash" } as const;

/** One augmentation of an image, by example. */
function augmented(image: RgbImage, augmentation: Augmentation, example: number): Uint8Array {
  const out = new Uint8Array(8 * 8 * 3);
  const prepared = prepareImage(image, preparationOf(FIT, augmentation));
  augmentPrepared(prepared, { height: FIT.size, width: FIT.size }, augmentation, { seed: 5, epoch: 0, example }, out);
  return out;
}

/** Red counts columns and green rows, from 1: black is outside. */
const grid: RgbImage = {
  width: 40,
  height: 20,
  rgb: Uint8Array.from({ length: 40 * 20 * 3 }, (_, at) => {
    const pixel = Math.floor(at / 3);
    return [pixel % 40 + 1, Math.floor(pixel / 40) + 1, 7][at % 3];
  }),
};

Deno.test("augmentPrepared() cuts a resized crop out of the whole image, upside down half of the time", () => {
  const crop = {
    kind: "resized-crop",
    scale: [0.08, 1],
    ratio: [3 / 4, 4 / 3],
    flip: true,
    verticalFlip: true,
  } as const;
  const seen = new Set<string>();
  let widest = 0;
  for (let example = 0; example < 400; example++) {
    const pixels = augmented(grid, crop, example);
    const [left, right, top, bottom] = [pixels[0], pixels[7 * 3], pixels[1], pixels[7 * 8 * 3 + 1]];
    seen.add(`${left < right},${top < bottom}`);
    widest = Math.max(widest, left, right);
  }
  assertEquals(seen.size, 4);
  assert(widest > 36, `a window reaches column ${widest} of 40`);
});

Deno.test("augmentPrepared() turns a rotated crop by at most its degrees and cuts it to size", () => {
  const crop = { kind: "rotated-crop", margin: 0.5, degrees: 30, flip: false } as const;
  const slopes = Array.from({ length: 300 }, (_, example) => {
    const pixels = augmented(grid, crop, example);
    const at = (row: number, column: number) => pixels[(row * 8 + column) * 3 + 1];
    // The rise of the row number from column to column, in the middle where nothing is outside.
    return Math.atan2(-(at(4, 5) - at(4, 2)) / (20 / 12), 3) * 180 / Math.PI;
  });
  assert(Math.max(...slopes) > 15 && Math.min(...slopes) < -15, `${Math.min(...slopes)} to ${Math.max(...slopes)}`);
  // Nearest pixels of a 12 x 12 square quantise the slope: two of 3 columns' worth.
  assert(slopes.every((slope) => Math.abs(slope) < 50));
  assertEquals(augmented(grid, crop, 3), augmented(grid, crop, 3));
});

Deno.test("augmentPrepared() fits first where nothing is cut out", () => {
  const fitted = fitImage(grid, FIT);
  assertEquals(augmented(grid, { kind: "none" }, 0), fitted);
  const flips = Array.from({ length: 40 }, (_, example) => digest(augmented(grid, { kind: "flip" }, example)));
  assert(new Set(flips).size === 2 && flips.includes(digest(fitted)));
});
