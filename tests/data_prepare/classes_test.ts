import { assertEquals, assertRejects } from "@std/assert";
import { openDataset } from "../../lib/data/load.ts";
import { flowerFile } from "../../lib/data/oxford_flowers.ts";
import { FormatError } from "../../lib/errors.ts";
import { GRAY_JPEG, JPEG, matFile, trimapPng } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { prepared } from "./prepared.ts";
import { gzip, tarOf } from "./server.ts";

/** Oxford's flowers with one image of each class in each split; the classes are in no order. */
async function flowers(): Promise<Record<string, Uint8Array>> {
  const ids = Array.from({ length: 306 }, (_, i) => i + 1);
  const images = Object.fromEntries(ids.map((id) => [`jpg/${flowerFile(id)}`, id % 2 === 0 ? JPEG : GRAY_JPEG]));
  return {
    "imagelabels.mat": matFile({ labels: ids.map((id) => id * 5 % 102 + 1) }),
    "setid.mat": matFile({ trnid: ids.slice(204), valid: ids.slice(102, 204), tstid: ids.slice(0, 102) }),
    "102flowers.tgz": await gzip(tarOf(images)),
  };
}

/** The pets with one image of each breed in each list. */
async function pets(): Promise<Record<string, Uint8Array>> {
  const breeds = Array.from({ length: 37 }, (_, i) => i + 1);
  const list = (name: string) => breeds.map((breed) => `${name}_${breed} ${breed} 1 1\n`).join("");
  const names = breeds.flatMap((breed) => [`seen_${breed}`, `new_${breed}`]);
  return {
    "annotations.tar.gz": await gzip(tarOf({
      "annotations/trainval.txt": list("seen"),
      "annotations/test.txt": list("new"),
      ...Object.fromEntries(names.map((name) => [`annotations/trimaps/${name}.png`, trimapPng([1, 2])])),
    })),
    "images.tar.gz": await gzip(tarOf(Object.fromEntries(names.map((name) => [`images/${name}.jpg`, JPEG])))),
  };
}

Deno.test("openDataset() reads the prepared flowers and pets of all classes, and no fewer", () =>
  inTemporaryFolder(async (folder) => {
    const sets = [
      ["oxford102flowers", await flowers(), 102, ["train", "val", "test"]],
      ["oxfordpets", await pets(), 37, ["train", "val"]],
    ] as const;
    for (const [name, files, classes, splits] of sets) {
      const dir = `${folder}/${name}`;
      await prepared(dir, name, files);
      for (const split of splits) {
        const open = () => openDataset({ name, split, dir });
        const { classNames, labels } = await open();
        assertEquals([classNames.length, [...labels]], [classes, Array.from({ length: classes }, (_, i) => i)]);
        await Deno.rename(`${dir}/${split}/${classNames[3]}`, `${dir}/lost`);
        await assertRejects(
          open,
          FormatError,
          `Cannot read ${dir}/${split} as ${name}: there are ${classes - 1} classes; ${classes} are required`,
        );
        await Deno.rename(`${dir}/lost`, `${dir}/${split}/${classNames[3]}`);
      }
    }
    // The images of a split lie with their classes.
    const test = [...Deno.readDirSync(`${folder}/oxford102flowers/test/005`)].map(({ name }) => name);
    assertEquals(test, ["image_00001.jpg"]);
  }));
