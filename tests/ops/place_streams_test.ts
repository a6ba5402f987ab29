/** From files of many sizes to the first activation: what threads hand over and what the device makes of it. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Augmentation, AUGMENTATIONS, preparationOf } from "../../lib/data/augment.ts";
import { PLACEMENT_PARAMETERS, writePlacement } from "../../lib/data/augmentation/placements.ts";
import { weightTable } from "../../lib/data/augmentation/table.ts";
import { cutBox, largestBox } from "../../lib/data/cut_box.ts";
import { createImageStream, type ImageLocation, type ImageStream } from "../../lib/data/dataset.ts";
import { decodeImage } from "../../lib/data/decode.ts";
import { copyBox } from "../../lib/data/fit.ts";
import { NORMALISATIONS, scaleAndShift } from "../../lib/data/normalisation.ts";
import { columnsToRgb } from "../../lib/data/planes.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { resizeImage, type RgbImage } from "../../lib/data/resize.ts";
import { trainingBatches } from "../../lib/data/training_batches.ts";
import { concat, GRAY_JPEG, JPEG, png } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { readFixture, recorded } from "../fixtures/fixture.ts";
import { gpuTests } from "../gpu/harness.ts";
import { augmentPrepared, prepareImage } from "../reference/place_image.ts";
import { tensor } from "../reference/tensor.ts";
import { assertClose } from "./helpers.ts";
import { EXACT_COLOURS as colours, placed } from "./placing.ts";

const gpuTest = gpuTests();

const SIDE = 20;
const SIZE = { height: SIDE, width: SIDE };

const noise = (length: number, factor: number) =>
  Uint8Array.from({ length }, (_, at) => ((at % 65521) ** 2 * factor + (at >> 5)) % 256);

/** Files of many kinds and sizes, and planes as STL-10 has them. */
const FILES: Readonly<Record<string, Uint8Array>> = {
  "photograph.jpg": JPEG,
  "grey.jpg": GRAY_JPEG,
  "pixel.png": png(1, 1, Uint8Array.of(7, 99, 201)),
  "grey-strip.png": png(61, 2, noise(61 * 2, 7)),
  "column.png": png(1, 90, noise(90 * 3, 11)),
  "huge.png": png(1800, 1300, noise(1800 * 1300 * 3, 13)),
  "square.png": png(96, 96, noise(96 * 96 * 3, 17)),
  "planes.bin": noise(33 * 27 * 3, 19),
};
const NAMES = Object.keys(FILES);

function open(folder: string): ImageStream {
  for (const [name, bytes] of Object.entries(FILES)) Deno.writeFileSync(`${folder}/${name}`, bytes);
  return createImageStream({
    name: "mixed",
    classNames: ["a"],
    labels: new Uint32Array(NAMES.length),
    fit: { size: SIDE, resize: "crop", filter: "bicubic" },
    identity: "mixed",
    locate(example): ImageLocation {
      const path = `${folder}/${NAMES[example]}`;
      if (path.endsWith(".bin")) return { kind: "columns", path, offset: 0, height: 33, width: 27 };
      return { kind: "file", path };
    },
  });
}

function wholeImage(name: string): RgbImage | Promise<RgbImage> {
  return name.endsWith(".bin") ? columnsToRgb(FILES[name], 33, 27) : decodeImage(FILES[name], name);
}

const cases: Readonly<Record<string, Augmentation>> = {
  ...AUGMENTATIONS,
  "resized-crop, upside down": { ...AUGMENTATIONS["resized-crop"], verticalFlip: true } as Augmentation,
  "rotated-crop": RECIPES.oxford102flowers.augmentation,
};
const { none: _, ...random } = cases;

gpuTest(
  "placeImages() makes of a stream of many sizes, to the byte, what the host makes of whole images",
  (gpu) =>
    inTemporaryFolder(async (folder) => {
      const stream = open(folder), images = await Promise.all(NAMES.map(wholeImage));
      for (const [name, augmentation] of Object.entries(random)) {
        using batches = trainingBatches(stream, { batchSize: NAMES.length, seed: 3, augmentation });
        const reduced = new Set<boolean>(), seen = new Set<string>();
        for (const step of [0, 1, 2]) {
          const batch = await batches.batchAt(step);
          const found = await placed(gpu, batch, { augmentation, size: SIZE, source: batches.sourceSize, colours });
          const expected = [...batch.examples].map((example) => {
            const out = new Uint8Array(SIDE * SIDE * 3), image = images[example];
            const prepared = prepareImage(image, preparationOf(stream.fit, augmentation));
            augmentPrepared(prepared, SIZE, augmentation, { seed: 3, epoch: batch.epoch, example }, out);
            if (NAMES[example] === "huge.png") {
              const row = batch.examples.indexOf(example), width = batch.placements![row * PLACEMENT_PARAMETERS + 3];
              reduced.add(width === SIDE);
            }
            return out;
          });
          const values = Array.from(concat(expected), (byte, i) => byte * colours[i % 3] + colours[3 + i % 3]);
          assertClose(name, found, tensor(found.shape, values), 0);
          seen.add(concat(expected).join());
        }
        assertEquals(seen.size, 3, "the steps' images are the same: nothing was augmented");
        // Boxes of the huge image are too large for the device.
        if (augmentation.kind === "resized-crop") assertEquals([...reduced], [true]);
      }
    }),
);

Deno.test("a stream's batch is a pure function of the step, and its boxes are no larger than the device's room", () =>
  inTemporaryFolder(async (folder) => {
    const stream = open(folder), augmentation = AUGMENTATIONS["resized-crop"];
    const make = () => trainingBatches(stream, { batchSize: 3, seed: 2 ** 40 + 9, augmentation });
    using batches = make();
    const straight = [];
    for (let step = 0; step < 6; step++) straight.push(structuredClone(await batches.batchAt(step)));
    for (const step of [5, 1, 0]) {
      using resumed = make();
      assertEquals(await resumed.batchAt(step), straight[step]);
    }
    assertNotEquals(straight[0].images, straight[1].images);
    for (const { images, placements } of straight) {
      const rows = [0, 1, 2].map((row) =>
        placements!.subarray(row * PLACEMENT_PARAMETERS, (row + 1) * PLACEMENT_PARAMETERS)
      );
      let at = 0;
      for (const row of rows) {
        assertEquals([row[1], row[2], row[15] * 65536 + row[16]], [0, 0, at]);
        assert(row[3] >= 1 && row[3] <= 2 * SIDE && row[4] >= 1 && row[4] <= 2 * SIDE);
        at += row[3] * row[4] * 3;
      }
      assertEquals(images.length, at);
    }
  }));

Deno.test("cutBox() hands over a box of twice the sides as it is, and resizes one that is a pixel longer", () => {
  const image = { width: 90, height: 90, rgb: noise(90 * 90 * 3, 23) };
  assertEquals(largestBox(SIZE), { height: 40, width: 40, packed: true });
  for (const [width, height] of [[40, 40], [41, 40], [40, 41], [1, 41], [1, 1], [40, 1]]) {
    const box = { left: 90 - width, top: 7, width, height }, cut = cutBox(image, SIZE, { box });
    const larger = width > 40 || height > 40;
    assertEquals([cut.width, cut.height], larger ? [SIDE, SIDE] : [width, height]);
    const expected = resizeImage(image, SIDE, SIDE, { box });
    assertEquals(resizeImage(cut, SIDE, SIDE), expected);
    assertEquals(cut.rgb.length, cut.width * cut.height * 3);
  }
});

/** Sides of a box that there are weights for. */
const LARGEST = 160;
const STILL = { left: 0, top: 0, angle: 0, horizontalFlip: false, verticalFlip: false };

for (const name of ["down", "up", "to_itself", "bicubic_down", "bicubic_up"]) {
  gpuTest(`placeImages() of boxes one behind another equals torchvision: resized_crop_${name}`, async (gpu) => {
    const file = new URL(`../fixtures/augmentations/resized_crop_${name}.bin`, import.meta.url);
    const fixture = readFixture(file), { view, draw } = fixture.config;
    const whole = recorded(fixture, "image"), [height, width] = whole.shape;
    const image = { height, width, rgb: Uint8Array.from(whole.data) }, { box } = draw;
    // The second begins at an odd byte, beyond 16 bits.
    const first = [0, 0x20005], boxes = new Uint8Array(first[1] + box.width * box.height * 3).fill(13);
    const placements = new Float32Array(2 * PLACEMENT_PARAMETERS), placement = { ...STILL, ...draw };
    first.forEach((firstByte, row) => {
      copyBox(image, box, boxes, firstByte);
      const cut = { left: 0, top: 0, width: box.width, height: box.height };
      writePlacement(placements, row, { firstByte, box: cut, prepared: view, placement });
    });
    const { scale, shift } = scaleAndShift(NORMALISATIONS.imagenet);
    const { data } = await placed(gpu, { images: boxes, placements }, {
      augmentation: AUGMENTATIONS["resized-crop"],
      size: view,
      source: { height: LARGEST, width: LARGEST, packed: true },
      resize: {
        horizontal: weightTable(1, LARGEST, view.width, view.resize.filter),
        vertical: weightTable(1, LARGEST, view.height, view.resize.filter),
      },
      colours: [...scale, ...shift],
    });
    const expected = recorded(fixture, "output").data, one = view.width * view.height * 3;
    assertEquals([expected.length, data.length], [one, 2 * one]);
    // Normalised pixels reach 2.6, of which a float32 has 6e-8.
    data.forEach((value, at) => assert(Math.abs(value - expected[at % one]) <= 1e-6, `${at}: ${value}`));
  });
}
