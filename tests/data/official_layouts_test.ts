import { assertEquals, assertRejects } from "@std/assert";
import { writeNpy } from "../../lib/checkpoint/npy.ts";
import { CORRUPTIONS, readCifar101, readCifar10C } from "../../lib/data/cifar_variants.ts";
import type { ImageSource } from "../../lib/data/dataset.ts";
import { decodeImage } from "../../lib/data/decode.ts";
import { fitImage } from "../../lib/data/fit.ts";
import { parseClassList } from "../../lib/data/imagenet.ts";
import { loadDataset, openDataset } from "../../lib/data/load.ts";
import { readPetList, readTrimap } from "../../lib/data/oxford_pets.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { FormatError, UsageError } from "../../lib/errors.ts";
import {
  asStream,
  concat,
  flowerFiles,
  FLOWERS,
  GRAY_JPEG,
  JPEG,
  matFile,
  npyImages,
  npyLabels,
  petFiles,
  trimapPng,
  writeTree,
} from "./arrays.ts";
import { inTemporaryFolder, readFixture } from "./helpers.ts";

Deno.test("readCifar101() reads both versions, by the original system's names too", () =>
  inTemporaryFolder(async (dir) => {
    await writeTree(dir, {
      "cifar10.1_v6_data.npy": npyImages(3),
      "cifar10.1_v6_labels.npy": npyLabels([9, 0, 4], "uint8"),
      "cifar10_1/cifar10.1-data.npy": npyImages(2),
      "cifar10_1/cifar10.1-labels.npy": npyLabels([3, 2], "int64"),
    });
    const v6 = await readCifar101(dir, "v6"), v4 = await readCifar101(dir, "v4");
    assertEquals([[...v6.labels], [...v4.labels]], [[9, 0, 4], [3, 2]]);
    assertEquals(v6.images, npyImages(3).subarray(-3 * 3072));
    assertEquals([v4.height, v4.width, v4.classNames[3]], [32, 32, "cat"]);
    assertEquals((await loadDataset({ name: "cifar10_1", split: "test", dir })).hash, v4.hash);
    assertEquals((await loadDataset({ name: "cifar10.1-v6", split: "val", dir })).hash, v6.hash);
    await assertRejects(() => loadDataset({ name: "cifar10.1", split: "train", dir }), UsageError, "it is a test set");
  }));

Deno.test("readCifar101() refuses truncated, misshapen and missing arrays and labels out of range", () =>
  inTemporaryFolder(async (dir) => {
    const data = "cifar10.1_v4_data.npy", labels = "cifar10.1_v4_labels.npy";
    const read = () => readCifar101(dir, "v4");
    await assertRejects(read, Error, "cifar10.1_v4_data.npy and cifar10.1_v4_labels.npy");
    await writeTree(dir, { [data]: npyImages(2) });
    await assertRejects(read, Error, "cifar10.1_v4_labels.npy: there is no such file");
    await writeTree(dir, { [labels]: npyLabels([1, 2, 3]) });
    await assertRejects(read, FormatError, "there are 2 images, but 3 labels");
    await writeTree(dir, { [labels]: npyLabels([1, 10]) });
    await assertRejects(read, FormatError, "label 1 is 10; labels below 10");
    await writeTree(dir, { [labels]: npyLabels([1, -1]) });
    await assertRejects(read, FormatError, "whole numbers from 0 on");
    await writeTree(dir, { [labels]: writeNpy({ dtype: "float32", shape: [2], data: Float32Array.of(1, 2) }) });
    await assertRejects(read, FormatError, "an array of float32");
    await writeTree(dir, { [labels]: npyLabels([1, 2]), [data]: npyImages(2).subarray(0, -1) });
    await assertRejects(read, FormatError, "its 2 rows take");
    await writeTree(dir, { [data]: npyImages(2, 31) });
    await assertRejects(read, FormatError, "shape [2,31,31,3]; uint8 of shape [n, 32, 32, 3]");
    await writeTree(dir, { [data]: "no array" });
    await assertRejects(read, FormatError, "does not begin as a NumPy array");
  }));

Deno.test("readCifar10C() reads one severity of one corruption", () =>
  inTemporaryFolder(async (dir) => {
    const labels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], all = npyImages(10);
    await writeTree(dir, { "CIFAR-10-C/fog.npy": all, "CIFAR-10-C/labels.npy": npyLabels(labels, "uint8") });
    for (const severity of [1, 3, 5]) {
      const set = await readCifar10C(dir, "fog", severity);
      const from = (severity - 1) * 2, start = all.length - 10 * 3072 + from * 3072;
      assertEquals([...set.labels], labels.slice(from, from + 2));
      assertEquals(set.images, all.subarray(start, start + 2 * 3072));
    }
    const request = { name: "cifar10-c", split: "test", dir, corruption: "fog", severity: 2 } as const;
    assertEquals((await loadDataset(request)).hash, (await readCifar10C(`${dir}/CIFAR-10-C`, "fog", 2)).hash);
    assertEquals(CORRUPTIONS.length, 19);
  }));

Deno.test("readCifar10C() refuses unknown corruptions and severities, and arrays that do not fit", () =>
  inTemporaryFolder(async (dir) => {
    const request = { name: "cifar10-c", split: "test", dir } as const;
    await assertRejects(() => openDataset(request), UsageError, "the corruption is missing");
    await assertRejects(() => openDataset({ ...request, corruption: "rain" }), UsageError, "the corruption is rain");
    await assertRejects(() => openDataset({ ...request, corruption: "fog" }), UsageError, "the severity is missing");
    const read = (severity: number) => readCifar10C(dir, "fog", severity);
    await assertRejects(() => read(6), RangeError, "severity 6");
    await assertRejects(() => read(0), RangeError, "severity 0");
    await assertRejects(() => read(1), Error, "fog.npy and labels.npy");
    await writeTree(dir, { "fog.npy": npyImages(10) });
    await assertRejects(() => read(1), Error, "labels.npy: there is no such file");
    await writeTree(dir, { "labels.npy": npyLabels([1, 2, 3, 4]) });
    await assertRejects(() => read(1), FormatError, "4 labels; a multiple of 5");
    await writeTree(dir, { "labels.npy": npyLabels([1, 2, 3, 4, 5]) });
    await assertRejects(() => read(1), FormatError, "it has 10 rows; 5 are required");
    await writeTree(dir, { "labels.npy": npyLabels([0, 1, 2, 3, 4, 5, 6, 7, 8, 12]) });
    await assertRejects(() => read(5), FormatError, "label 1 is 12");
  }));

/** STL-10's file of images: byte (image, channel, column, row) is a function of all four. */
function stl10(count: number): Uint8Array {
  const bytes = new Uint8Array(count * 27648);
  let at = 0;
  for (let image = 0; image < count; image++) {
    for (let channel = 0; channel < 3; channel++) {
      for (let column = 0; column < 96; column++) {
        for (let row = 0; row < 96; row++) bytes[at++] = image * 50 + channel * 20 + column + row * 2;
      }
    }
  }
  return bytes;
}

Deno.test("openStl10() reads images column by column, labels from 1, and the unlabelled images", () =>
  inTemporaryFolder(async (dir) => {
    await writeTree(dir, {
      "stl10_binary/train_X.bin": stl10(3),
      "stl10_binary/train_y.bin": Uint8Array.of(1, 10, 4),
      "stl10_binary/test_X.bin": stl10(1),
      "stl10_binary/test_y.bin": Uint8Array.of(2),
      "stl10_binary/unlabeled_X.bin": stl10(2),
    });
    const train = await loadDataset({ name: "stl10", split: "train", dir });
    assertEquals([...train.labels].map((label) => train.classNames[label]), ["airplane", "truck", "cat"]);
    assertEquals([train.height, train.width], [96, 96]);
    for (const [image, row, column] of [[0, 0, 0], [2, 5, 90], [1, 95, 3]]) {
      const at = ((image * 96 + row) * 96 + column) * 3;
      const expected = [0, 1, 2].map((channel) => (image * 50 + channel * 20 + column + row * 2) % 256);
      assertEquals([...train.images.subarray(at, at + 3)], expected);
    }
    assertEquals([...(await openDataset({ name: "stl10", split: "val", dir })).labels], [1]);
    const unlabelled = await openDataset({ name: "stl10", split: "unlabelled", dir });
    assertEquals([[...unlabelled.labels], unlabelled.classNames], [[0, 0], ["unlabelled"]]);
    // As a command names a part, and as the original system has folders.
    const named = (subfolder: string) => openDataset({ name: "stl10", split: "train", dir, subfolder });
    assertEquals([(await named("unlabelled")).hash, (await named("test")).labels], [
      unlabelled.hash,
      Uint32Array.of(1),
    ]);
    assertEquals((await named("stl10_binary")).labels, train.labels);
    // What the original system learns features from: the labelled images first, with their labels.
    const both = await loadDataset({ name: "stl10", split: "train", dir, subfolder: "train+unlabelled" });
    const names = [...both.labels].map((label) => both.classNames[label]);
    assertEquals(names, ["airplane", "truck", "cat", "unlabelled", "unlabelled"]);
    assertEquals(both.classNames.slice(0, 10), train.classNames);
    const alone = await loadDataset({ name: "stl10", split: "unlabelled", dir });
    assertEquals(both.images, concat([train.images, alone.images]));
    assertEquals((await named("train+unlabeled")).hash, (await named("train+unlabelled")).hash);
    const hashes = new Set(
      await Promise.all(["train", "unlabelled", "train+unlabelled"].map(async (part) => (await named(part)).hash)),
    );
    assertEquals(hashes.size, 3);
    await assertRejects(() => named("extra"), UsageError, 'Cannot load "extra" of stl10: a folder, or train');
    assertEquals(
      (await loadDataset({ name: "stl10", split: "train", dir, size: 48, transforms: "original" })).height,
      48,
    );
    await assertRejects(() => openDataset({ name: "cifar10", split: "unlabelled", dir }), UsageError, "only stl10");
  }));

Deno.test("openStl10() refuses parts of images, missing and wrong labels", () =>
  inTemporaryFolder(async (dir) => {
    const open = () => openDataset({ name: "stl10", split: "train", dir });
    await assertRejects(open, Error, "required are train_X.bin, train_y.bin");
    await writeTree(dir, { "train_X.bin": stl10(2).subarray(0, -1) });
    await assertRejects(open, FormatError, "55295 bytes are 2.00 images");
    await writeTree(dir, { "train_X.bin": stl10(2) });
    await assertRejects(open, Error, "train_y.bin: there is no such file");
    await writeTree(dir, { "train_y.bin": Uint8Array.of(1, 2, 3) });
    await assertRejects(open, FormatError, "3 labels for 2 images");
    for (const wrong of [0, 11]) {
      await writeTree(dir, { "train_y.bin": Uint8Array.of(1, wrong) });
      await assertRejects(open, FormatError, `label 1 is ${wrong}; 1 to 10`);
    }
  }));

function names(source: ImageSource): string[] {
  const { locate } = asStream(source);
  return Array.from(source.labels, (_, i) => {
    const location = locate(i);
    return location.kind === "file" ? location.path.replace(/^.*\//, "") : "";
  });
}

Deno.test("oxford102flowers are split by setid.mat in their official layout, by folders in the original system's", () =>
  inTemporaryFolder(async (dir) => {
    await writeTree(`${dir}/official`, flowerFiles());
    const open = (split: "train" | "val" | "test") =>
      openDataset({ name: "oxford102flowers", split, dir: `${dir}/official` });
    for (const [split, list] of [["train", "trnid"], ["val", "valid"], ["test", "tstid"]] as const) {
      const source = await open(split), ids = FLOWERS.sets[list];
      assertEquals(names(source), ids.map((id) => `image_0000${id}.jpg`));
      assertEquals([...source.labels], ids.map((id) => FLOWERS.labels[id - 1] - 1));
      assertEquals([source.classNames.length, source.classNames[101]], [102, "101"]);
    }
    const folders = Array.from({ length: 102 }, (_, label) => String(label).padStart(3, "0"));
    const files = folders.map((name) => [`train/${name}/image.jpg`, name === "101" ? GRAY_JPEG : JPEG]);
    await writeTree(`${dir}/arranged`, Object.fromEntries(files));
    const arranged = await openDataset({ name: "oxford102flowers", split: "train", dir: `${dir}/arranged` });
    assertEquals(arranged.classNames, folders);
  }));

Deno.test("oxford102flowers refuse missing, damaged and impossible label files and missing images", () =>
  inTemporaryFolder(async (dir) => {
    const files = flowerFiles();
    const open = () => openDataset({ name: "oxford102flowers", split: "test", dir });
    const { "setid.mat": sets, "imagelabels.mat": labels, ...images } = files;
    await writeTree(dir, images);
    await assertRejects(open, Error, "imagelabels.mat is missing");
    await writeTree(dir, { "imagelabels.mat": labels });
    await assertRejects(open, Error, "setid.mat is missing");
    await writeTree(dir, { "setid.mat": sets.subarray(0, -8) });
    await assertRejects(open, FormatError, "setid.mat as a MATLAB file");
    await writeTree(dir, { "setid.mat": labels });
    await assertRejects(open, FormatError, 'it has no numbers named "trnid"');
    await writeTree(dir, { "setid.mat": matFile({ ...FLOWERS.sets, tstid: [9] }) });
    await assertRejects(open, FormatError, 'number 0 of "tstid" is 9; 1 to 8');
    await writeTree(dir, { "setid.mat": sets, "imagelabels.mat": matFile({ labels: [1, 103] }) });
    await assertRejects(open, FormatError, 'number 1 of "labels" is 103; 1 to 102');
    await writeTree(dir, { "imagelabels.mat": labels });
    await Deno.remove(`${dir}/jpg/image_00005.jpg`);
    await assertRejects(open, Error, "image_00005.jpg is missing");
  }));

Deno.test("oxfordpets are listed by trainval.txt and test.txt, with trimaps", () =>
  inTemporaryFolder(async (dir) => {
    await writeTree(dir, petFiles(trimapPng([1, 2, 3])));
    const train = await openDataset({ name: "oxfordpets", split: "train", dir });
    assertEquals([names(train), [...train.labels]], [["Abyssinian_1.jpg", "yorkshire_terrier_9.jpg"], [0, 36]]);
    const test = await openDataset({ name: "oxfordpets", split: "val", dir });
    assertEquals([names(test), [...test.labels]], [["Abyssinian_2.jpg", "shiba_inu_3.jpg"], [0, 33]]);
    assertEquals(train.classNames.length, 37);
    const trimap = await readTrimap(dir, "train/00/Abyssinian_1.jpg");
    assertEquals([trimap.width, trimap.height, [...trimap.values]], [3, 1, [1, 2, 3]]);
  }));

Deno.test("oxfordpets refuse damaged lists, missing images and trimaps", () =>
  inTemporaryFolder(async (dir) => {
    const path = `${dir}/annotations/test.txt`;
    await writeTree(dir, { "images/a.jpg": JPEG, "annotations/trimaps/a.png": trimapPng([1, 4]) });
    const open = () => openDataset({ name: "oxfordpets", split: "test", dir });
    await assertRejects(open, Error, "test.txt: there is no such file");
    for (const line of ["a", "a 0 1 1", "a 38 1 1", "../a 1 1 1", "a x 1 1"]) {
      await Deno.writeTextFile(path, `a 1 1 1\n${line}\n`);
      await assertRejects(() => readPetList(path), FormatError, `line 2 is "${line}"`);
    }
    await Deno.writeTextFile(path, "\n");
    await assertRejects(open, FormatError, "it lists no image");
    await Deno.writeTextFile(path, "a 1 1 1\nb 2 1 1\n");
    await assertRejects(open, Error, "images/b.jpg is missing");
    await assertRejects(() => readTrimap(dir, "a"), FormatError, "pixel 1 is 4; 1, 2 or 3");
    await assertRejects(() => readTrimap(dir, "b"), Error, "there is no");
  }));

Deno.test("imagenet is a folder a class by WordNet number, decoded on demand", () =>
  inTemporaryFolder(async (dir) => {
    await writeTree(dir, {
      "train/n00000002/a.JPEG": JPEG,
      "train/n00000001/b.JPEG": GRAY_JPEG,
      "val/n00000002/c.JPEG": JPEG,
    });
    const train = await openDataset({ name: "imagenet", split: "train", dir, transforms: "original" });
    assertEquals([names(train), train.height], [["b.JPEG", "a.JPEG"], 224]);
    const val = await loadDataset({
      name: "imagenet",
      split: "val",
      dir,
      transforms: "original",
      size: 14,
      classNames: train.classNames,
    });
    assertEquals([...val.labels], [1]);
    const image = await decodeImage(JPEG, "c");
    assertEquals(val.images, fitImage(image, { size: 14, shortSide: 16, resize: "crop", filter: "bicubic" }));
    const one = await openDataset({ name: "imagenet", split: "train", dir, only: ["n00000002"] });
    assertEquals([names(one), one.classNames], [["a.JPEG"], ["n00000002"]]);
    await assertRejects(() => openDataset({ name: "imagenet", split: "train", dir, only: ["n3"] }), Error, '"n3"');
    await writeTree(dir, { "train/cats/a.jpg": JPEG });
    await assertRejects(() => openDataset({ name: "imagenet", split: "train", dir }), FormatError, 'class "cats"');
  }));

Deno.test("imagenet100 has 100 classes, its own folders or a list's", () =>
  inTemporaryFolder(async (dir) => {
    const wnid = (i: number) => `n${String(i).padStart(8, "0")}`;
    await writeTree(dir, Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`train/${wnid(i)}/a.JPEG`, JPEG])));
    const open = (only?: readonly string[]) => openDataset({ name: "imagenet100", split: "train", dir, only });
    await assertRejects(open, FormatError, "there are 101 classes; 100 are required");
    const list = parseClassList(
      Array.from({ length: 100 }, (_, i) => `${wnid(100 - i)} some name`).join("\n") + "\n",
      "list.txt",
    );
    const set = await open(list);
    assertEquals([set.labels.length, set.classNames[0]], [100, wnid(1)]);
    await Deno.remove(`${dir}/train/${wnid(0)}`, { recursive: true });
    assertEquals((await open()).classNames.length, 100);
    for (const text of ["", "dogs", `${wnid(1)}\n${wnid(1)}`]) {
      await assertRejects(() => Promise.try(() => parseClassList(text, "list.txt")), FormatError, "list.txt");
    }
  }));

Deno.test("custom images are fitted by Resize(256), CenterCrop(224), in proportion at other sizes", () =>
  inTemporaryFolder(async (dir) => {
    await writeTree(dir, { "train/a/1.jpg": JPEG, "val/a/2.png": readFixture("colour.png") });
    const open = (split: "train" | "val", size?: number) =>
      openDataset({ name: "custom", split, dir, transforms: "original", size });
    const [train, small] = [await open("train"), await open("val", 56)];
    assertEquals(asStream(train).fit, { size: 224, resize: "crop", shortSide: 256 });
    assertEquals(asStream(small).fit, { size: 56, resize: "crop", shortSide: 64 });
    await assertRejects(
      () => openDataset({ name: "custom", split: "test", dir: `${dir}/train` }),
      Error,
      "test/<class>",
    );
  }));

Deno.test("RECIPES state the original's sizes and normalisation, its mistakes apart", () => {
  assertEquals(RECIPES.cifar10.normalisation, { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.243, 0.261] });
  assertEquals(RECIPES.stl10.normalisation.mean, [0.4914, 0.4823, 0.4466]);
  assertEquals(RECIPES.oxford102flowers.normalisation, { mean: [0.507, 0.487, 0.441], std: [0.267, 0.256, 0.276] });
  for (const name of ["imagenet", "imagenet100", "custom", "oxfordpets"]) {
    assertEquals(RECIPES[name].normalisation.std, [0.229, 0.224, 0.225]);
    assertEquals(RECIPES[name].compat?.train.std, [0.228, 0.224, 0.225]);
  }
  assertEquals(RECIPES.imagenet.compat?.val.std[0], 0.229);
  assertEquals(RECIPES.custom.compat?.val.std[0], 0.228);
  assertEquals(RECIPES.cifar10.compat, undefined);
});

Deno.test("openDataset() enlarges CIFAR to the original's 224 pixels, as torchvision's Resize", () =>
  inTemporaryFolder(async (dir) => {
    await writeTree(dir, { "cifar10.1_v4_data.npy": npyImages(2), "cifar10.1_v4_labels.npy": npyLabels([1, 2]) });
    const plain = await loadDataset({ name: "cifar10.1", split: "test", dir });
    const large = await loadDataset({ name: "cifar10.1", split: "test", dir, transforms: "original" });
    assertEquals([plain.height, large.height], [32, 224]);
    const second = { height: 32, width: 32, rgb: plain.images.subarray(3072) };
    assertEquals(large.images.subarray(224 * 224 * 3), fitImage(second, { size: 224, resize: "squash" }));
  }));
