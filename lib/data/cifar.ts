/**
 * CIFAR-10 and CIFAR-100 in their binary versions (Krizhevsky, "Learning multiple layers of features from tiny images",
 * 2009; https://www.cs.toronto.edu/~kriz/cifar.html), with any number of records a file.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { CIFAR100_COARSE_NAMES, CIFAR100_FINE_NAMES, CIFAR10_NAMES } from "./cifar_names.ts";
import { allocateImages, createImageSet, type ImageSet } from "./dataset.ts";
import { isFolder, listFolder } from "./files.ts";

const SIDE = 32;
const PLANE = SIDE * SIDE;
const PIXELS = 3 * PLANE;

/** Options of {@linkcode readCifar10} and {@linkcode readCifar100}. */
export interface CifarOptions {
  /** Which files of a folder are read; files given one by one are read as they are. Default `"train"`. */
  readonly split?: "train" | "test";
  /** The most bytes of pixels to hold; default 4 GiB. */
  readonly memoryLimit?: number;
}

/** Options of {@linkcode readCifar100}. */
export interface Cifar100Options extends CifarOptions {
  /** Which of the two labels of a record counts; default `"fine"` (100 classes), else `"coarse"` (20). */
  readonly labels?: "fine" | "coarse";
}

/** How a record looks: its label bytes, then 3,072 bytes of pixels in planes (red, green, blue). */
interface RecordFormat {
  readonly title: string;
  /** What `data prepare` calls it. */
  readonly command: string;
  readonly subfolder: string;
  readonly labelSizes: readonly number[];
  readonly labelIndex: number;
  readonly classNames: readonly string[];
  readonly pattern: { readonly train: RegExp; readonly test: RegExp };
  readonly layout: string;
}

const CIFAR10: RecordFormat = {
  title: "CIFAR-10",
  command: "cifar10",
  subfolder: "cifar-10-batches-bin",
  labelSizes: [10],
  labelIndex: 0,
  classNames: CIFAR10_NAMES,
  pattern: { train: /^data_batch_\d+\.bin$/, test: /^test_batch\.bin$/ },
  layout: "data_batch_1.bin ... and test_batch.bin of the binary version (cifar-10-binary.tar.gz)",
};

const CIFAR100: RecordFormat = {
  title: "CIFAR-100",
  command: "cifar100",
  subfolder: "cifar-100-binary",
  labelSizes: [CIFAR100_COARSE_NAMES.length, CIFAR100_FINE_NAMES.length],
  labelIndex: 1,
  classNames: CIFAR100_FINE_NAMES,
  pattern: { train: /^train\.bin$/, test: /^test\.bin$/ },
  layout: "train.bin and test.bin of the binary version (cifar-100-binary.tar.gz)",
};

/**
 * Reads CIFAR-10: 3,073-byte records (one label, then 3,072 bytes of pixels).
 *
 * @param source a folder that holds `data_batch_*.bin` or `test_batch.bin` (itself or in `cifar-10-batches-bin/`), or
 * the files themselves
 * @throws {FormatError} if a file ends inside a record or a label is out of range
 */
export function readCifar10(source: string | readonly string[], options: CifarOptions = {}): Promise<ImageSet> {
  return readRecords(CIFAR10, source, options);
}

/**
 * Reads CIFAR-100: 3,074-byte records (coarse label, fine label, then 3,072 bytes of pixels).
 *
 * @param source a folder that holds `train.bin` or `test.bin` (itself or in `cifar-100-binary/`), or the files
 * @throws {FormatError} if a file ends inside a record or a label is out of range
 */
export function readCifar100(source: string | readonly string[], options: Cifar100Options = {}): Promise<ImageSet> {
  const coarse = { ...CIFAR100, labelIndex: 0, classNames: CIFAR100_COARSE_NAMES };
  return readRecords(options.labels === "coarse" ? coarse : CIFAR100, source, options);
}

async function readRecords(
  format: RecordFormat,
  source: string | readonly string[],
  { split = "train", memoryLimit }: CifarOptions,
): Promise<ImageSet> {
  const paths = typeof source === "string" ? await findFiles(format, source, split) : source;
  const size = format.labelSizes.length + PIXELS;
  const sizes = await Promise.all(paths.map(async (path) => (await Deno.stat(path)).size));
  const count = sizes.reduce((sum, bytes) => sum + Math.floor(bytes / size), 0);
  const images = allocateImages(format.title, count, SIDE, SIDE, memoryLimit);
  const labels = new Uint32Array(count);
  let record = 0;
  for (const path of paths) {
    const bytes = await Deno.readFile(path);
    checkRecords(format, bytes, path);
    for (let start = 0; start < bytes.length && record < count; start += size, record++) {
      labels[record] = bytes[start + format.labelIndex];
      interleave(bytes, start + format.labelSizes.length, images, record * PIXELS);
    }
  }
  const { classNames } = format;
  return createImageSet({ name: format.title, height: SIDE, width: SIDE, classNames, labels, images });
}

/** Planar (red, green, blue) to interleaved pixels. */
function interleave(from: Uint8Array, start: number, to: Uint8Array, target: number): void {
  for (let pixel = 0; pixel < PLANE; pixel++) {
    to[target++] = from[start + pixel];
    to[target++] = from[start + PLANE + pixel];
    to[target++] = from[start + 2 * PLANE + pixel];
  }
}

function checkRecords({ title, labelSizes }: RecordFormat, bytes: Uint8Array, path: string): void {
  const size = labelSizes.length + PIXELS;
  const records = Math.floor(bytes.length / size);
  const rest = bytes.length % size;
  if (rest !== 0 || records === 0) {
    throw new FormatError(
      `Cannot read ${path} as ${title} records: record ${records} has ${rest} of ${size} bytes; ` +
        `download the binary version again`,
    );
  }
  for (let record = 0; record < records; record++) {
    for (const [index, classes] of labelSizes.entries()) {
      const label = bytes[record * size + index];
      if (label >= classes) {
        throw new FormatError(
          `Cannot read ${path} as ${title} records: record ${record} has label ${label}; ` +
            `labels below ${classes} are required`,
        );
      }
    }
  }
}

async function findFiles(format: RecordFormat, folder: string, split: "train" | "test"): Promise<string[]> {
  for (const candidate of [folder, `${folder}/${format.subfolder}`]) {
    if (!await isFolder(candidate)) continue;
    const names = (await listFolder(candidate)).files.filter((name) => format.pattern[split].test(name));
    // By number, so that data_batch_10 follows data_batch_9.
    names.sort((a, b) => Number(a.match(/\d+/)?.[0] ?? 0) - Number(b.match(/\d+/)?.[0] ?? 0));
    if (names.length > 0) return names.map((name) => `${candidate}/${name}`);
  }
  throw new Error(
    `Cannot read ${format.title} (${split}) from ${folder}: neither it nor its ${format.subfolder}/ has the files; ` +
      `required are ${format.layout}; data prepare ${format.command} --data-dir ${folder} fetches them`,
  );
}
