import { assert, assertEquals } from "@std/assert";
import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import { augmentPrepared } from "../reference/place_image.ts";

const HEIGHT = 6, WIDTH = 8;
const SIZE = { height: HEIGHT, width: WIDTH };

/** Pixel (row, column) is (row + 1, column + 1, 200): it says where it came from, and nothing is black. */
const image = Uint8Array.from(
  { length: HEIGHT * WIDTH * 3 },
  (_, at) => [Math.floor(at / 3 / WIDTH) + 1, Math.floor(at / 3) % WIDTH + 1, 200][at % 3],
);

function augment(augmentation: Augmentation, example: number, { seed = 1, epoch = 0 } = {}): Uint8Array {
  // A margin of 7 and 5 bytes shows writes outside.
  const out = new Uint8Array(image.length + 12).fill(99);
  augmentPrepared({ ...SIZE, rgb: image }, SIZE, augmentation, { seed, epoch, example }, out, 7);
  assert(out.subarray(0, 7).every((byte) => byte === 99) && out.subarray(-5).every((byte) => byte === 99));
  return out.subarray(7, -5);
}

function pixel(pixels: Uint8Array, row: number, column: number): number[] {
  const at = (row * WIDTH + column) * 3;
  return [...pixels.subarray(at, at + 3)];
}

/** Where a padded crop was taken, and whether it was flipped; checks every pixel. */
function locate(pixels: Uint8Array, padding: number): string {
  for (let top = -padding; top <= padding; top++) {
    for (let left = -padding; left <= padding; left++) {
      for (const flipped of [false, true]) {
        if (pixels.every((byte, at) => byte === expectedByte(at, top, left, flipped))) {
          return `${top},${left},${flipped}`;
        }
      }
    }
  }
  throw new Error("no padded crop looks like this");
}

function expectedByte(at: number, top: number, left: number, flipped: boolean): number {
  const column = Math.floor(at / 3) % WIDTH;
  const row = Math.floor(at / 3 / WIDTH) + top, from = (flipped ? WIDTH - 1 - column : column) + left;
  if (row < 0 || row >= HEIGHT || from < 0 || from >= WIDTH) return 0;
  return [row + 1, from + 1, 200][at % 3];
}

Deno.test("augmentPrepared() leaves the image alone for none", () => {
  assertEquals(augment(AUGMENTATIONS.none, 0), image);
});

Deno.test("augmentPrepared() flips half of the images", () => {
  let flips = 0;
  for (let example = 0; example < 4000; example++) {
    const place = locate(augment(AUGMENTATIONS.flip, example), 0);
    if (place === "0,0,true") flips++;
  }
  // Five standard deviations of a fair coin.
  assert(Math.abs(flips - 2000) < 5 * Math.sqrt(1000), `${flips} of 4000`);
});

Deno.test("augmentPrepared() crops at every offset equally often, black outside, with independent flips", () => {
  const counts = new Map<string, number>(), draws = 9000;
  for (let example = 0; example < draws; example++) {
    const place = locate(augment({ kind: "crop", padding: 1, flip: true }, example), 1);
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  const mean = draws / 18;
  assertEquals(counts.size, 18);
  assert([...counts.values()].every((count) => Math.abs(count - mean) < 5 * Math.sqrt(mean)), `${[...counts]}`);
});

Deno.test("augmentPrepared() crops with padding wider than the image", () => {
  const wide: Augmentation = { kind: "crop", padding: 12, flip: false };
  const blank = Array.from({ length: 300 }, (_, example) => augment(wide, example)).filter((x) =>
    x.every((b) => b === 0)
  );
  assert(blank.length > 0 && blank.length < 300, `${blank.length} of 300 windows missed the image`);
});

Deno.test("augmentPrepared() draws resized crops of every area and place", () => {
  const lefts = [], tops = [], spans = [];
  for (let example = 0; example < 500; example++) {
    const pixels = augment({ kind: "resized-crop", scale: [0.08, 1], ratio: [3 / 4, 4 / 3], flip: false }, example);
    assert(pixels.every((byte, at) => at % 3 < 2 || byte === 200), "a constant channel stays constant");
    // Rows and columns grow along the window: it was neither mirrored nor transposed.
    assert(pixel(pixels, HEIGHT - 1, 0)[0] >= pixel(pixels, 0, 0)[0]);
    assert(pixel(pixels, 0, WIDTH - 1)[1] >= pixel(pixels, 0, 0)[1]);
    tops.push(pixel(pixels, 0, 0)[0]);
    lefts.push(pixel(pixels, 0, 0)[1]);
    spans.push(pixel(pixels, 0, WIDTH - 1)[1] - pixel(pixels, 0, 0)[1]);
  }
  assertEquals([Math.min(...tops), Math.min(...lefts), Math.max(...spans)], [1, 1, WIDTH - 1]);
  assert(Math.max(...tops) >= 5 && Math.max(...lefts) >= 6 && Math.min(...spans) <= 2, `${tops} ${lefts} ${spans}`);
});

Deno.test("augmentPrepared() draws the area of a resized crop from its whole range", () => {
  const ramp = Uint8Array.from({ length: 256 * 256 * 3 }, (_, at) => at % 3 === 0 ? Math.floor(at / 3) % 256 : 0);
  const size = { height: 256, width: 256 }, out = new Uint8Array(ramp.length), areas = [];
  const augmentation: Augmentation = { kind: "resized-crop", scale: [0.25, 0.64], ratio: [1, 1], flip: false };
  for (let example = 0; example < 60; example++) {
    augmentPrepared({ ...size, rgb: ramp }, size, augmentation, { seed: 0, epoch: 0, example }, out);
    areas.push(((out[255 * 3] - out[0] + 1) / 256) ** 2);
  }
  const mean = areas.reduce((a, b) => a + b, 0) / areas.length;
  assert(Math.min(...areas) > 0.235 && Math.max(...areas) < 0.66, `${areas}`);
  // Uniform on [0.25, 0.64]: mean 0.445, standard error 0.0145.
  assert(Math.abs(mean - 0.445) < 5 * 0.0145, `${mean}`);
});

Deno.test("augmentPrepared() falls back to the central window where none fits", () => {
  const strip = Uint8Array.from({ length: 30 * 3 }, (_, at) => Math.floor(at / 3));
  const size = { height: 1, width: 30 }, out = new Uint8Array(90);
  const augmentation: Augmentation = { kind: "resized-crop", scale: [1, 1], ratio: [1, 1], flip: false };
  augmentPrepared({ ...size, rgb: strip }, size, augmentation, { seed: 0, epoch: 0, example: 0 }, out);
  assertEquals(out, new Uint8Array(90).fill(14));
});

Deno.test("augmentPrepared() is keyed by seed, epoch and example", () => {
  const crop = AUGMENTATIONS.crop;
  const places = (options: { seed?: number; epoch?: number }) =>
    Array.from({ length: 20 }, (_, example) => locate(augment(crop, example, options), 4)).join(" ");
  assertEquals(places({}), places({}));
  assertEquals(new Set([places({}), places({ seed: 2 }), places({ epoch: 1 }), places({ seed: 1 + 2 ** 32 })]).size, 4);
});
