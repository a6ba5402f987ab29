import { assertEquals } from "@std/assert";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { command as infer } from "../../tasks/commands/infer.ts";
import { parseFlags } from "../../tasks/cli/flags.ts";
import { augmentationOf, normalisationOf, transformsOf } from "../../tasks/commands/treatment.ts";

function flags(...args: readonly string[]) {
  return parseFlags(infer, ["--out", "run", ...args]);
}

Deno.test("transformsOf() is the original's, but for networks of small images", () => {
  assertEquals(transformsOf(flags()), "original");
  assertEquals(transformsOf(flags("--encoder", "resnet101")), "original");
  for (const small of [["--encoder", "resnet20"], ["--encoder", "resnet56_projection"], ["--small-stem"]]) {
    assertEquals(transformsOf(flags(...small)), "plain");
    assertEquals(transformsOf(flags(...small, "--transforms", "original")), "original");
  }
  assertEquals(transformsOf(flags("--transforms", "plain")), "plain");
  assertEquals(transformsOf({ ...flags(), networkSize: 32 }), "plain");
  assertEquals(transformsOf({ ...flags(), networkSize: 224 }), "original");
});

Deno.test("augmentationOf() and normalisationOf() are those of the training set, unless flags say otherwise", () => {
  const flowers = flags("--train-dataset", "oxford102flowers");
  assertEquals(augmentationOf(flowers), RECIPES.oxford102flowers.augmentation);
  assertEquals(normalisationOf(flowers), RECIPES.oxford102flowers.normalisation);
  const plain = flags("--train-dataset", "oxford102flowers", "--encoder", "resnet20");
  assertEquals([augmentationOf(plain), normalisationOf(plain)], [AUGMENTATIONS.crop, NORMALISATIONS.imagenet]);
  const folder = flags("--train-dataset", "imagefolder");
  assertEquals([augmentationOf(folder), normalisationOf(folder)], [AUGMENTATIONS.crop, NORMALISATIONS.imagenet]);
  const own = flags("--train-dataset", "stl10", "--augmentation", "flip", "--normalisation", "cifar100");
  assertEquals([augmentationOf(own), normalisationOf(own)], [AUGMENTATIONS.flip, NORMALISATIONS.cifar100]);
});

Deno.test("normalisationOf() is mistyped under --compat only, and where the original's is", () => {
  const red = (name: string, split: "train" | "val", ...more: string[]) =>
    normalisationOf(flags("--train-dataset", name, ...more), split).std[0];
  for (const name of ["imagenet", "imagenet100", "custom", "oxfordpets"]) {
    assertEquals([red(name, "train"), red(name, "val")], [0.229, 0.229]);
    assertEquals(red(name, "train", "--compat"), 0.228);
    assertEquals(red(name, "val", "--compat"), name.startsWith("imagenet") ? 0.229 : 0.228);
    assertEquals(red(name, "train", "--compat", "--normalisation", "imagenet"), 0.229);
  }
  assertEquals(red("cifar10", "train", "--compat"), 0.247);
});
