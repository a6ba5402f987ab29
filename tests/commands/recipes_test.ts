/** The original system's treatment of each data set in literal numbers: none of them is taken from our own constants. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { drawPlacement, preparationOf } from "../../lib/data/augment.ts";
import { augmentPrepared, prepareImage } from "../reference/place_image.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { resizeImage, type RgbImage } from "../../lib/data/resize.ts";
import { parseFlags } from "../../tasks/cli/flags.ts";
import { augmentationOf, normalisationOf } from "../../tasks/commands/treatment.ts";
import { command as infer } from "../../tasks/commands/infer.ts";

/** Of one data set. */
interface Treatment {
  readonly size: number;
  readonly train: unknown;
  /** What an image goes through in evaluation: its size, and whether it is squashed or cut after a short side. */
  readonly evaluation: { readonly size: number; readonly resize: string; readonly shortSide?: number };
  readonly filter: "bilinear" | "bicubic";
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Deviation of red under --compat: in training, in evaluation. */
  readonly compatRed: readonly [number, number];
}

/** RandomResizedCrop with its scale and ratio, then a flip left to right, and upside down where `vertical` says. */
const resizedCrop = (vertical: boolean) => ({
  kind: "resized-crop",
  scale: [0.08, 1],
  ratio: [0.75, 1.3333333333333333],
  flip: true,
  ...(vertical ? { verticalFlip: true } : {}),
});

const CIFAR: Treatment = {
  size: 224,
  train: resizedCrop(true),
  evaluation: { size: 224, resize: "squash" },
  filter: "bilinear",
  mean: [0.4914, 0.4822, 0.4465],
  std: [0.247, 0.243, 0.261],
  compatRed: [0.247, 0.247],
};
const IMAGENET: Treatment = {
  size: 224,
  train: resizedCrop(false),
  evaluation: { size: 224, resize: "crop", shortSide: 256 },
  filter: "bicubic",
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  compatRed: [0.228, 0.229],
};
const FOLDER: Treatment = { ...IMAGENET, filter: "bilinear", compatRed: [0.228, 0.228] };

const TREATMENTS: Readonly<Record<string, Treatment>> = {
  "cifar10": CIFAR,
  "cifar100": CIFAR,
  "cifar10.1": CIFAR,
  "cifar10.1-v4": CIFAR,
  "cifar10.1-v6": CIFAR,
  "cifar10-c": CIFAR,
  "stl10": {
    size: 96,
    train: resizedCrop(false),
    evaluation: { size: 96, resize: "squash" },
    filter: "bilinear",
    mean: [0.4914, 0.4823, 0.4466],
    std: [0.247, 0.243, 0.261],
    compatRed: [0.247, 0.247],
  },
  "imagenet": IMAGENET,
  "imagenet100": IMAGENET,
  "oxford102flowers": {
    size: 224,
    train: { kind: "rotated-crop", margin: 0.026785714285714284, degrees: 30, flip: true, verticalFlip: true },
    evaluation: { size: 224, resize: "squash" },
    filter: "bilinear",
    mean: [0.507, 0.487, 0.441],
    std: [0.267, 0.256, 0.276],
    compatRed: [0.267, 0.267],
  },
  "oxfordpets": FOLDER,
  "custom": FOLDER,
};

function flagsOf(name: string, ...more: readonly string[]) {
  return parseFlags(infer, ["--out", "run", "--train-dataset", name, ...more]);
}

Deno.test("RECIPES are of the original's data sets, all of them and no other", () => {
  assertEquals(Object.keys(RECIPES).sort(), Object.keys(TREATMENTS).sort());
});

for (const [name, { size, train, evaluation, filter, mean, std, compatRed }] of Object.entries(TREATMENTS)) {
  Deno.test(`${name} is treated as the original system treats it, in literal numbers`, () => {
    assertEquals(RECIPES[name].size, size);
    const { filter: found = "bilinear", ...fit } = RECIPES[name].fit(RECIPES[name].size);
    assertEquals([fit as unknown, found], [evaluation, filter]);
    assertEquals(augmentationOf(flagsOf(name)) as unknown, train);
    for (const [index, split] of (["train", "val"] as const).entries()) {
      assertEquals(normalisationOf(flagsOf(name), split) as unknown, { mean, std });
      // Only red differs under --compat, and only where the original mistyped it.
      const mistyped = { mean, std: [compatRed[index], ...std.slice(1)] };
      assertEquals(normalisationOf(flagsOf(name, "--compat"), split) as unknown, mistyped);
      assertEquals(normalisationOf(flagsOf(name, "--compat", "--transforms", "plain"), split).std[0], 0.229);
    }
  });
}

/** A picture that interpolations tell apart. */
const PICTURE: RgbImage = {
  width: 61,
  height: 47,
  rgb: Uint8Array.from({ length: 61 * 47 * 3 }, (_, at) => (at * 37 + (at >> 3) * 11) % 256),
};

Deno.test("training crops are resized bilinearly for every data set, whatever its evaluation does", () => {
  for (const name of ["cifar10", "stl10", "imagenet", "custom", "oxfordpets"]) {
    const recipe = RECIPES[name], side = 16, key = { seed: 3, epoch: 0, example: 1 };
    const augmentation = recipe.augmentation, size = { height: side, width: side };
    assertEquals(preparationOf(recipe.fit(side), augmentation), undefined);
    const { box } = drawPlacement(PICTURE, size, augmentation, key);
    // Of an example that is not flipped: the pixels are the window's.
    const still = { ...augmentation, flip: false, verticalFlip: false } as typeof augmentation;
    const out = new Uint8Array(side * side * 3);
    augmentPrepared(PICTURE, size, still, key, out);
    assertEquals(out, resizeImage(PICTURE, side, side, { box, filter: "bilinear" }), name);
    assertNotEquals(out, resizeImage(PICTURE, side, side, { box, filter: "bicubic" }), name);
  }
});

Deno.test("flowers are squashed to 230 x 230, turned by up to 30 degrees and cut to 224 x 224", () => {
  const { augmentation, fit } = RECIPES.oxford102flowers;
  const preparation = preparationOf(fit(224), augmentation)!;
  assertEquals(preparation, { size: 230, resize: "squash" });
  const prepared = prepareImage(PICTURE, preparation);
  assertEquals(prepared.rgb, resizeImage(PICTURE, 230, 230, { filter: "bilinear" }));
  const placed = Array.from(
    { length: 500 },
    (_, example) => drawPlacement(prepared, { height: 224, width: 224 }, augmentation, { seed: 1, epoch: 0, example }),
  );
  const angles = placed.map(({ angle }) => angle), corners = new Set(placed.flatMap(({ left, top }) => [left, top]));
  assert(Math.max(...angles) > 29 && Math.max(...angles) <= 30, `up to ${Math.max(...angles)}`);
  assert(Math.min(...angles) < -29 && Math.min(...angles) >= -30, `from ${Math.min(...angles)}`);
  assertEquals([...corners].sort(), [0, 1, 2, 3, 4, 5, 6]);
});

Deno.test("half of the images are flipped, and upside down where the original does so", () => {
  for (
    const [name, upsideDown] of [["cifar10", true], ["oxford102flowers", true], ["stl10", false], [
      "custom",
      false,
    ]] as const
  ) {
    const { augmentation } = RECIPES[name];
    const placed = Array.from(
      { length: 2000 },
      (_, example) =>
        drawPlacement({ height: 230, width: 230 }, { height: 224, width: 224 }, augmentation, {
          seed: 1,
          epoch: 0,
          example,
        }),
    );
    const share = (key: "horizontalFlip" | "verticalFlip") => placed.filter((one) => one[key]).length / placed.length;
    // Six standard deviations of a fair coin thrown 2000 times are 0.067.
    assert(Math.abs(share("horizontalFlip") - 0.5) < 0.067, `${name}: ${share("horizontalFlip")}`);
    assert(Math.abs(share("verticalFlip") - (upsideDown ? 0.5 : 0)) < 0.067, `${name}: ${share("verticalFlip")}`);
    if (!upsideDown) assertEquals(share("verticalFlip"), 0);
  }
});
