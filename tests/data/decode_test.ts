import { assertEquals, assertRejects } from "@std/assert";
import { crc32 } from "node:zlib";
import { decodeImage } from "../../lib/data/decode.ts";
import { fitImage } from "../../lib/data/fit.ts";
import type { RgbImage } from "../../lib/data/resize.ts";
import { FormatError } from "../../lib/errors.ts";
import { readFixture } from "./helpers.ts";

const WIDTH = 29, HEIGHT = 23;
const SIZES = [HEIGHT * WIDTH * 3, 12 * 12 * 3, 12 * 12 * 3, 40 * 40 * 3];
const JPEGS = ["colour420.jpg", "colour444.jpg", "progressive.jpg", "gray.jpg", "rotated.jpg"];
const PNGS = [
  "colour.png",
  "gray.png",
  "alpha.png",
  "grayalpha.png",
  "palette.png",
  "bilevel.png",
  "interlaced.png",
  "colour16.png",
  "gray16.png",
];

/** What Pillow and torchvision made of a file: decoded, squashed, cropped, enlarged. */
function expected(name: string): Uint8Array[] {
  const bytes = readFixture(`${name}.expected`);
  let start = 0;
  return SIZES.map((size) => bytes.subarray(start, start += size));
}

function largestDifference(a: Uint8Array, b: Uint8Array): number {
  assertEquals(a.length, b.length);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index])), 0);
}

for (const name of [...JPEGS, ...PNGS]) {
  // Of 16 bits the higher 8 are kept; Pillow clips grey ones.
  const as = name === "gray16.png" ? "by its higher bytes" : "as Pillow does";
  Deno.test(`decodeImage() reads ${name} ${as}`, async () => {
    const image = await decodeImage(readFixture(name), name);
    assertEquals([image.width, image.height], [WIDTH, HEIGHT]);
    assertEquals(largestDifference(image.rgb, expected(name)[0]), 0);
  });

  Deno.test(`fitImage() resizes ${name} as torchvision does`, async () => {
    const image = await decodeImage(readFixture(name), name);
    const [, squashed, cropped, enlarged] = expected(name);
    assertEquals(largestDifference(fitImage(image, { size: 12, resize: "squash" }), squashed), 0);
    assertEquals(largestDifference(fitImage(image, { size: 12, resize: "crop", shortSide: 16 }), cropped), 0);
    assertEquals(largestDifference(fitImage(image, { size: 40, resize: "squash" }), enlarged), 0);
  });
}

for (const name of ["colour420.jpg", "progressive.jpg", "colour.png", "palette.png", "interlaced.png"]) {
  Deno.test(`decodeImage() refuses every truncation of ${name} by name`, async () => {
    const bytes = readFixture(name);
    for (let length = 0; length < bytes.length; length++) {
      await assertRejects(() => decodeImage(bytes.subarray(0, length), name), FormatError, name);
    }
  });
}

Deno.test("decodeImage() decodes a whole file after it refused a damaged one", async () => {
  const bytes = readFixture("colour420.jpg");
  for (const length of [40, 300, bytes.length - 2]) {
    await assertRejects(() => decodeImage(bytes.subarray(0, length), "x.jpg"), FormatError);
    assertEquals((await decodeImage(bytes, "x.jpg")).rgb, expected("colour420.jpg")[0]);
  }
});

Deno.test("decodeImage() refuses any flipped bit in a PNG file's critical chunks", async () => {
  const bytes = readFixture("colour.png");
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at] ^= 1 << (at % 8);
    await assertRejects(() => decodeImage(flipped, "x.png"), FormatError, "x.png");
  }
});

Deno.test("decodeImage() makes of any flipped bit in a JPEG file an image or a FormatError", async () => {
  const bytes = readFixture("colour420.jpg");
  let refused = 0;
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at] ^= 1 << (at % 8);
    const outcome = await decodeImage(flipped, "x.jpg").catch((error: unknown) => error);
    if (outcome instanceof FormatError) {
      refused++;
    } else {
      const { width, height, rgb } = outcome as RgbImage;
      assertEquals(rgb.length, width * height * 3);
    }
  }
  assertEquals(refused > 20, true, `${refused} were refused`);
  assertEquals((await decodeImage(bytes, "x.jpg")).rgb, expected("colour420.jpg")[0]);
});

Deno.test("decodeImage() refuses what is neither JPEG nor PNG", async () => {
  const gif = new TextEncoder().encode("GIF89a");
  await assertRejects(() => decodeImage(gif, "a.png"), FormatError, 'a.png: its 6 bytes start with "47 49 46 38"');
  await assertRejects(() => decodeImage(new Uint8Array(), "b.jpg"), FormatError, "b.jpg: its 0 bytes");
});

Deno.test("decodeImage() refuses an image bomb by its header", async () => {
  const png = readFixture("colour.png"), view = new DataView(png.buffer);
  view.setUint32(16, 100_000);
  view.setUint32(20, 100_000);
  view.setUint32(29, crc32(png.subarray(12, 29)));
  await assertRejects(() => decodeImage(png, "bomb.png"), FormatError, "100000 x 100000 pixels");

  const jpeg = readFixture("colour420.jpg");
  const frame = jpeg.findIndex((byte, at) => byte === 0xff && jpeg[at + 1] === 0xc0);
  new DataView(jpeg.buffer).setUint16(frame + 5, 65_000);
  new DataView(jpeg.buffer).setUint16(frame + 7, 65_000);
  await assertRejects(() => decodeImage(jpeg, "bomb.jpg"), FormatError, "65000 x 65000 pixels");
});

Deno.test("decodeImage() refuses an image without pixels", async () => {
  const png = readFixture("colour.png"), view = new DataView(png.buffer);
  view.setUint32(16, 0);
  view.setUint32(29, crc32(png.subarray(12, 29)));
  await assertRejects(() => decodeImage(png, "flat.png"), FormatError, "0 x 23 pixels");
});

Deno.test("decodeImage() needs no permission", async () => {
  const module = new URL("../../lib/data/decode.ts", import.meta.url).href;
  const source = `import { decodeImage } from ${JSON.stringify(module)};
    for (const bytes of ${JSON.stringify(["gray.jpg", "gray.png"].map((name) => [...readFixture(name)]))}) {
      console.log((await decodeImage(Uint8Array.from(bytes), "x")).width);
    }`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--no-lock", `data:text/typescript,${encodeURIComponent(source)}`],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  assertEquals([code, new TextDecoder().decode(stdout)], [0, `${WIDTH}\n${WIDTH}\n`]);
});
