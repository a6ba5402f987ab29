import { assert, assertEquals } from "@std/assert";
import { resizeImage, type RgbImage } from "../../lib/data/resize.ts";

function ramp(width: number, height: number): RgbImage {
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * 37 + (at >> 3) * 11) % 256);
  return { width, height, rgb };
}

Deno.test("resizeImage() to the same size changes nothing", () => {
  const image = ramp(7, 5);
  assertEquals(resizeImage(image, 7, 5), image.rgb);
});

Deno.test("resizeImage() averages with a triangle when it shrinks", () => {
  // Halving four pixels: the triangle spans two input pixels to either side of the centre between two of them.
  const image = { width: 4, height: 1, rgb: Uint8Array.of(0, 0, 0, 80, 80, 80, 160, 160, 160, 240, 240, 240) };
  // Weights 3, 3, 1 of 7 on pixels 0, 1, 2, and the mirror image.
  const left = Math.round((3 * 0 + 3 * 80 + 1 * 160) / 7), right = Math.round((1 * 80 + 3 * 160 + 3 * 240) / 7);
  assertEquals([...resizeImage(image, 2, 1)], [left, left, left, right, right, right]);
});

Deno.test("resizeImage() of a box equals resizing the cut-out", () => {
  const image = ramp(11, 9), box = { left: 3, top: 2, width: 6, height: 5 };
  const cut = new Uint8Array(6 * 5 * 3);
  for (let row = 0; row < 5; row++) {
    cut.set(image.rgb.subarray(((row + 2) * 11 + 3) * 3, ((row + 2) * 11 + 9) * 3), row * 18);
  }
  for (const [width, height] of [[6, 5], [3, 4], [13, 2], [1, 1], [20, 20]]) {
    const expected = resizeImage({ width: 6, height: 5, rgb: cut }, width, height);
    assertEquals(resizeImage(image, width, height, { box }), expected);
  }
});

Deno.test("resizeImage() writes at an offset and nowhere else", () => {
  const image = ramp(5, 4), out = new Uint8Array(2 * 3 * 3 + 9).fill(77);
  resizeImage(image, 3, 2, { out, offset: 4 });
  assertEquals(out.subarray(4, 22), resizeImage(image, 3, 2));
  assert([...out.subarray(0, 4), ...out.subarray(22)].every((byte) => byte === 77));
});

Deno.test("resizeImage() keeps white white and black black at any scale", () => {
  for (const value of [0, 255]) {
    const image = { width: 31, height: 17, rgb: new Uint8Array(31 * 17 * 3).fill(value) };
    for (const [width, height] of [[1, 1], [7, 30], [64, 3], [32, 32]]) {
      assert(resizeImage(image, width, height).every((byte) => byte === value), `${width} x ${height}`);
    }
  }
});
