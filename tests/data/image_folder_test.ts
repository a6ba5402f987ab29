import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { classCounts } from "../../lib/data/dataset.ts";
import { fitImage } from "../../lib/data/fit.ts";
import { readImageFolder } from "../../lib/data/image_folder.ts";
import { FormatError } from "../../lib/errors.ts";
import { inTemporaryFolder, readFixture, sharedData } from "./helpers.ts";

const flowers = sharedData("flowers17");

async function write(root: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await Deno.mkdir(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeFile(`${root}/${path}`, typeof content === "string" ? new TextEncoder().encode(content) : content);
  }
}

const jpeg = readFixture("colour420.jpg"), gray = readFixture("gray.jpg"), png = readFixture("colour.png");
/** The size of the decoded fixtures after Resize((12, 12)). */
const SQUASHED = 12 * 12 * 3;

function squashed(name: string): Uint8Array {
  return readFixture(`${name}.expected`).subarray(29 * 23 * 3, 29 * 23 * 3 + SQUASHED);
}

Deno.test("readImageFolder() sorts classes and files, recurses and decodes by content", () =>
  inTemporaryFolder(async (root) => {
    await write(root, {
      "b/2.png": gray,
      "b/10.JPG": jpeg,
      "b/sub/1.jpeg": png,
      "B/x.jpg": png,
      "a/one.jpg": jpeg,
      "a/notes.txt": "no image",
      "readme.md": "no class",
    });
    const set = await readImageFolder(root, { size: 12, resize: "squash" });
    assertEquals(set.classNames, ["B", "a", "b"]);
    assertEquals([...set.labels], [0, 1, 2, 2, 2]);
    const order = ["colour.png", "colour420.jpg", "colour420.jpg", "gray.jpg", "colour.png"];
    order.forEach((name, index) => {
      assertEquals(set.images.subarray(index * SQUASHED, (index + 1) * SQUASHED), squashed(name));
    });
  }));

Deno.test("readImageFolder() labels by given classes and refuses others", () =>
  inTemporaryFolder(async (root) => {
    await write(root, { "dog/1.jpg": jpeg });
    const options = { size: 4, resize: "squash" } as const;
    const set = await readImageFolder(root, { ...options, classNames: ["cat", "dog"] });
    assertEquals([[...set.labels], set.classNames], [[1], ["cat", "dog"]]);
    await assertRejects(() => readImageFolder(root, { ...options, classNames: ["cat"] }), Error, '"dog"');
  }));

Deno.test("readImageFolder() says which layout is required", () =>
  inTemporaryFolder(async (root) => {
    const options = { size: 4, resize: "crop" } as const;
    await assertRejects(
      () => readImageFolder(`${root}/none`, options),
      Error,
      "is no folder; required is one folder a class",
    );
    await assertRejects(() => readImageFolder(root, options), Error, "has no folder inside");
    await write(root, { "dog/readme.txt": "" });
    await assertRejects(() => readImageFolder(root, options), Error, 'class "dog" has no .jpg, .jpeg or .png file');
  }));

Deno.test("readImageFolder() names a damaged file and an unsupported one", () =>
  inTemporaryFolder(async (root) => {
    const options = { size: 4, resize: "crop" } as const;
    await write(root, { "dog/1.jpg": jpeg, "dog/2.jpg": jpeg.subarray(0, 500) });
    await assertRejects(() => readImageFolder(root, options), FormatError, "dog/2.jpg");
    await write(root, { "dog/2.jpg": jpeg, "dog/3.webp": "RIFF" });
    await assertRejects(() => readImageFolder(root, options), FormatError, "dog/3.webp");
  }));

Deno.test("readImageFolder() refuses more images than memory is allowed, before decoding", () =>
  inTemporaryFolder(async (root) => {
    await write(root, { "dog/1.jpg": "not decoded", "dog/2.jpg": "not decoded" });
    const options = { size: 32, resize: "crop", memoryLimit: 6143 } as const;
    await assertRejects(() => readImageFolder(root, options), RangeError, "2 images of 32x32 RGB");
  }));

Deno.test("fitImage() places the crop by Python's rounding", () => {
  // A 1 x n ramp whose crop of 1 pixel shows where it was taken: (n - 1) / 2 rounded half to even.
  const taken = [2, 4, 6, 8].map((width) => {
    const rgb = Uint8Array.from({ length: width * 3 }, (_, index) => Math.floor(index / 3));
    return fitImage({ width, height: 1, rgb }, { size: 1, resize: "crop" })[0];
  });
  assertEquals(taken, [0, 2, 2, 4]);
});

Deno.test("fitImage() refuses a short side below the size and a strip that would explode", () => {
  const strip = { width: 50_000, height: 1, rgb: new Uint8Array(150_000) };
  assertThrows(() => fitImage(strip, { size: 224, resize: "crop" }), RangeError, "11200000 x 224 pixels would follow");
  assertEquals(fitImage(strip, { size: 4, resize: "squash" }).length, 48);
  assertThrows(() => fitImage(strip, { size: 8, resize: "crop", shortSide: 7 }), RangeError, "short side");
  assertThrows(() => fitImage(strip, { size: 0, resize: "squash" }), RangeError, "positive whole size");
});

Deno.test({
  name: "readImageFolder() reads the real flowers as torchvision does",
  ignore: !flowers.present,
  fn: async () => {
    const test = await readImageFolder(`${flowers.path}/test`, { size: 32, resize: "squash" });
    assertEquals([...classCounts(test)], new Array(17).fill(16));
    // Hashes of the pixels that torchvision 0.14.1 with Pillow 9.4.0 makes of the same files.
    assertEquals(test.hash, "943cc83906a3c1b01a7d1188dc4709e8a73c03c409b09d9228b9e9c4564d20f4");
    const cropped = await readImageFolder(`${flowers.path}/test`, { size: 64, resize: "crop" });
    assertEquals(cropped.hash, "6d30b7b0650ca7b72ce8864026f1aef4c8ec557590ab7ada8ffaf4499c17febd");
    const train = await readImageFolder(`${flowers.path}/train`, { size: 32, resize: "squash" });
    assertEquals([...classCounts(train)], new Array(17).fill(64));
    assertEquals(train.classNames, test.classNames);
  },
});
