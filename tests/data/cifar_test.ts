import { assertEquals, assertRejects } from "@std/assert";
import { readCifar10, readCifar100 } from "../../lib/data/cifar.ts";
import { classCounts, type ImageSet } from "../../lib/data/dataset.ts";
import { FormatError } from "../../lib/errors.ts";
import { inTemporaryFolder, sharedData } from "./helpers.ts";

const cifar10 = sharedData("cifar10");

/** Records whose pixel bytes are a function of record and position. */
function records(labels: readonly (readonly number[])[]): Uint8Array {
  const size = labels[0].length + 3072;
  const bytes = new Uint8Array(labels.length * size);
  labels.forEach((record, index) => {
    bytes.set(record, index * size);
    for (let at = 0; at < 3072; at++) bytes[index * size + record.length + at] = (index * 31 + at * 7) % 251;
  });
  return bytes;
}

function pixel(set: ImageSet, example: number, row: number, column: number): number[] {
  const start = ((example * set.height + row) * set.width + column) * 3;
  return [...set.images.subarray(start, start + 3)];
}

Deno.test("readCifar10() turns planes into interleaved pixels", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/a.bin`, records([[3], [9]]));
    const set = await readCifar10([`${folder}/a.bin`]);
    assertEquals([...set.labels], [3, 9]);
    assertEquals([set.height, set.width, set.channels, set.classNames.length], [32, 32, 3, 10]);
    for (const [example, row, column] of [[0, 0, 0], [1, 5, 31], [1, 31, 31]]) {
      const planes = [0, 1, 2].map((plane) => (example * 31 + (plane * 1024 + row * 32 + column) * 7) % 251);
      assertEquals(pixel(set, example, row, column), planes);
    }
  }));

Deno.test("readCifar10() reads numbered files in order, of any record count, from the subfolder too", () =>
  inTemporaryFolder(async (folder) => {
    const inner = `${folder}/cifar-10-batches-bin`;
    await Deno.mkdir(inner);
    await Deno.writeFile(`${inner}/data_batch_10.bin`, records([[7]]));
    await Deno.writeFile(`${inner}/data_batch_2.bin`, records([[1], [2], [3]]));
    await Deno.writeFile(`${inner}/test_batch.bin`, records([[5]]));
    assertEquals([...(await readCifar10(folder)).labels], [1, 2, 3, 7]);
    assertEquals([...(await readCifar10(folder, { split: "test" })).labels], [5]);
  }));

Deno.test("readCifar100() reads fine and coarse labels", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.mkdir(`${folder}/cifar-100-binary`);
    await Deno.writeFile(`${folder}/cifar-100-binary/train.bin`, records([[19, 99], [4, 0]]));
    const fine = await readCifar100(folder), coarse = await readCifar100(folder, { labels: "coarse" });
    assertEquals([...fine.labels].map((label) => fine.classNames[label]), ["worm", "apple"]);
    assertEquals([...coarse.labels].map((label) => coarse.classNames[label]), ["vehicles_2", "fruit_and_vegetables"]);
    assertEquals([fine.classNames.length, coarse.classNames.length], [100, 20]);
    assertEquals(pixel(fine, 0, 0, 1), [7, 1025 * 7 % 251, 2049 * 7 % 251]);
  }));

Deno.test("readCifar10() refuses a truncated file and names the record", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/data_batch_1.bin`;
    await Deno.writeFile(path, records([[1], [2]]).subarray(0, 3073 + 100));
    await assertRejects(
      () => readCifar10(folder),
      FormatError,
      `${path} as CIFAR-10 records: record 1 has 100 of 3073`,
    );
    await Deno.writeFile(path, new Uint8Array());
    await assertRejects(() => readCifar10(folder), FormatError, "record 0 has 0 of 3073");
  }));

Deno.test("readCifar10() and readCifar100() refuse labels out of range", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/a.bin`, records([[1], [10]]));
    await assertRejects(
      () => readCifar10([`${folder}/a.bin`]),
      FormatError,
      "a.bin as CIFAR-10 records: record 1 has label 10",
    );
    await Deno.writeFile(`${folder}/b.bin`, records([[20, 5]]));
    await assertRejects(() => readCifar100([`${folder}/b.bin`]), FormatError, "record 0 has label 20; labels below 20");
    await Deno.writeFile(`${folder}/c.bin`, records([[0, 1], [0, 2], [3, 100]]));
    await assertRejects(() => readCifar100([`${folder}/c.bin`]), FormatError, "record 2 has label 100");
  }));

Deno.test("readCifar10() says which files are required where there are none", () =>
  inTemporaryFolder(async (folder) => {
    await assertRejects(() => readCifar10(folder, { split: "test" }), Error, "test_batch.bin of the binary version");
    await assertRejects(() => readCifar10(`${folder}/nowhere`), Error, `from ${folder}/nowhere`);
  }));

Deno.test("readCifar10() refuses more images than memory is allowed", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/data_batch_1.bin`, records([[1], [2]]));
    await assertRejects(() => readCifar10(folder, { memoryLimit: 3072 }), RangeError, "2 images of 32x32 RGB");
  }));

Deno.test({
  name: "readCifar10() reads the real training files as numpy does",
  ignore: !cifar10.present,
  fn: async () => {
    const set = await readCifar10(cifar10.path);
    assertEquals([...classCounts(set)], [396, 366, 420, 384, 422, 393, 414, 385, 407, 413]);
    assertEquals([...set.labels.subarray(0, 8)], [6, 9, 9, 4, 1, 1, 2, 7]);
    assertEquals(pixel(set, 0, 0, 0), [59, 62, 63]);
    assertEquals(pixel(set, 7, 10, 20), [162, 87, 66]);
    assertEquals(pixel(set, 3999, 31, 31), [83, 153, 57]);
    assertEquals(set.hash, "bbebe15c069f9e191a02a9301b772fe27b42ec8db658fe5152cdabf97aad1e66");
  },
});

Deno.test({
  name: "readCifar10() reads the real test file as numpy does",
  ignore: !cifar10.present,
  fn: async () => {
    const set = await readCifar10(cifar10.path, { split: "test" });
    assertEquals([...classCounts(set)], [103, 89, 100, 103, 90, 86, 112, 102, 106, 109]);
    assertEquals([...set.labels.subarray(0, 8)], [3, 8, 8, 0, 6, 6, 1, 6]);
    assertEquals([pixel(set, 0, 0, 0), pixel(set, 7, 10, 20)], [[158, 112, 49], [96, 106, 15]]);
    assertEquals(set.hash, "5db5d7189a9e81af924f15a519a7aaba92b739cbe846889db59803d8d47a9620");
  },
});
