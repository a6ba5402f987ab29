import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { decodeImage } from "../../lib/data/decode.ts";
import { FormatError } from "../../lib/errors.ts";

const FOLDER = fromFileUrl(new URL("../fixtures/cmyk", import.meta.url));
const NAMES = [
  "plain.jpg",
  "subsampled.jpg",
  "progressive.jpg",
  "progressive_subsampled.jpg",
  "unmarked.jpg",
  "cmyk_restarts.jpg",
  "ycck.jpg",
  "ycck_progressive.jpg",
  "ycck_restarts.jpg",
];

function read(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(`${FOLDER}/${name}`);
}

for (const name of NAMES) {
  Deno.test(`decodeImage() makes the pixels of Pillow's convert("RGB") of the CMYK file ${name}`, async () => {
    const { width, height, rgb } = await decodeImage(read(name), name);
    assertEquals([width, height], [29, 23]);
    assertEquals(rgb, read(`${name}.expected`));
    // Of a picture, not of one colour.
    assert(new Set(rgb).size > 50, `${new Set(rgb).size} values`);
  });
}

Deno.test("decodeImage() refuses a CMYK file with a second frame header, of fewer components", async () => {
  const bytes = read("plain.jpg");
  const scan = bytes.findIndex((byte, at) => byte === 0xff && bytes[at + 1] === 0xda);
  const frame = [0xff, 0xc0, 0, 17, 8, 0, 23, 0, 29, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
  const twice = Uint8Array.of(...bytes.subarray(0, scan), ...frame, ...bytes.subarray(scan));
  await assertRejects(() => decodeImage(twice, "x.jpg"), FormatError, "x.jpg as JPEG: its frame header is damaged");
});

Deno.test("decodeImage() refuses every truncation of a CMYK file by name", async () => {
  for (const name of ["plain.jpg", "progressive_subsampled.jpg", "ycck_restarts.jpg"]) {
    const bytes = read(name);
    for (let length = 0; length < bytes.length; length++) {
      await assertRejects(() => decodeImage(bytes.subarray(0, length), name), FormatError, name);
    }
  }
});

Deno.test("decodeImage() makes of any flipped bit in a CMYK file an image or a FormatError", async () => {
  for (const name of ["plain.jpg", "progressive_subsampled.jpg", "ycck_restarts.jpg"]) {
    const bytes = read(name);
    let refused = 0;
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice();
      flipped[at] ^= 1 << (at % 8);
      const outcome = await decodeImage(flipped, "x.jpg").catch((error: unknown) => error);
      if (outcome instanceof FormatError) refused++;
      else assertEquals((outcome as { rgb: Uint8Array }).rgb?.length % 3, 0, `${name}, byte ${at}: ${outcome}`);
    }
    assert(refused > 20, `${refused} of ${name} were refused`);
  }
});
