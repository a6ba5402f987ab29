/**
 * Where each file of a data set's archives goes: the layouts that `lib/data` reads, which are those of the original
 * system's own scripts.
 *
 * @module
 */

import { CIFAR101_VERSIONS, CORRUPTIONS, readCifar101 } from "../../lib/data/cifar_variants.ts";
import { flowerFile, flowerFolder, readFlowerLabels } from "../../lib/data/oxford_flowers.ts";
import { petFolder, readPetList } from "../../lib/data/oxford_pets.ts";
import { FormatError, UsageError } from "../../lib/errors.ts";
import { statOf } from "./files.ts";
import { arrangeImageNet } from "./imagenet.ts";
import { SOURCES } from "./sources.ts";
import { type Allowance, archiveFiles, writeEntry } from "./unpack.ts";

/** What an arrangement is made from and where it goes. */
export interface Arrangement {
  /** Paths of the downloaded files by name. */
  readonly files: ReadonlyMap<string, string>;
  /** A folder of our own; what is in it afterwards is the data set. */
  readonly staging: string;
  readonly allowance: Allowance;
  /** ImageNet: the classes to take; default all. */
  readonly classes?: readonly string[];
  /** Tells how many files have been written. */
  onFile?(): void;
}

type Arrange = (arrangement: Arrangement) => Promise<void>;

/** Unpacks into one folder of the archive, which must then hold some files. */
function unpackFolder(folder: string, required: readonly string[]): Arrange {
  return async (arrangement) => {
    await unpack(
      arrangement,
      [...arrangement.files.keys()][0],
      (path) => path.startsWith(`${folder}/`) ? path : undefined,
    );
    await requireFiles(arrangement, required.map((name) => `${folder}/${name}`));
  };
}

/** Copies the arrays as they are, and reads them: resumes like an archive, for the downloads stay until all is in place. */
const arrangeCifar101: Arrange = async ({ files, staging, onFile }) => {
  for (const [name, path] of files) {
    await Deno.copyFile(path, `${staging}/${name}`);
    onFile?.();
  }
  for (const version of CIFAR101_VERSIONS) {
    await readCifar101(staging, version).catch((cause) => {
      throw new FormatError(`Cannot arrange cifar10.1: ${(cause as Error).message.replaceAll(`${staging}/`, "")}`, {
        cause,
      });
    });
  }
};

/** `train/ val/ test/` x `000` .. `101`, by `setid.mat`. */
const arrangeFlowers: Arrange = async (arrangement) => {
  const { files } = arrangement;
  const { splits, labels } = await readFlowerLabels(files.get("imagelabels.mat")!, files.get("setid.mat")!);
  const targets = new Map<string, string>();
  for (const [split, ids] of Object.entries(splits)) {
    for (const id of ids) {
      const name = flowerFile(id);
      targets.set(`jpg/${name}`, `${split}/${flowerFolder(labels[id - 1])}/${name}`);
    }
  }
  await unpack(arrangement, "102flowers.tgz", (path) => targets.get(path));
  await requireFiles(arrangement, targets.values());
};

/** `train/` (trainval.txt), `val/` (test.txt) x `00` .. `36`, and the annotations with their trimaps. */
const arrangePets: Arrange = async (arrangement) => {
  const { staging } = arrangement;
  // Mac OS left files of its own ("._name") in Oxford's archive.
  const annotation = (path: string) => path.startsWith("annotations/") && !/(^|\/)\._/.test(path) ? path : undefined;
  await unpack(arrangement, "annotations.tar.gz", annotation);
  await requireFiles(arrangement, ["annotations/trainval.txt", "annotations/test.txt"]);
  const targets = new Map<string, string>();
  for (const [split, list] of [["train", "trainval"], ["val", "test"]]) {
    for (const { image, label } of await readPetList(`${staging}/annotations/${list}.txt`)) {
      targets.set(`images/${image}.jpg`, `${split}/${petFolder(label)}/${image}.jpg`);
    }
  }
  await unpack(arrangement, "images.tar.gz", (path) => targets.get(path));
  await requireFiles(arrangement, targets.values());
};

/** `train/`, `val/` and `test/` at the archive's top or in its one folder. */
const arrangeCustom: Arrange = async (arrangement) => {
  let top: string | undefined;
  await unpack(arrangement, [...arrangement.files.keys()][0], (path) => {
    const parts = path.split("/"), at = parts.findIndex((part) => /^(train|val|test)$/.test(part));
    if (at < 0 || at > 1 || at === parts.length - 1) return undefined;
    const here = at === 0 ? "its top" : `${parts[0]}/`;
    top ??= here;
    if (here === top) return parts.slice(at).join("/");
    throw new FormatError(
      `Cannot arrange custom: the archive has folders train/, val/ or test/ in ${top} and in ${here}; they are required ` +
        "in one place, at the top or in one folder",
    );
  });
  if (await statOf(`${arrangement.staging}/train`) === undefined) {
    throw new FormatError(
      "Cannot arrange custom: the archive has no folder train/; train/<class>/<image>.jpg is required",
    );
  }
};

/** How a data set is arranged, and the files and folders that it becomes. */
interface Layout {
  readonly arrange: Arrange;
  readonly targets: readonly string[];
}

/** One folder of the archive, as it is; the set is that folder. */
function oneFolder(folder: string, required: readonly string[]): Layout {
  return { arrange: unpackFolder(folder, required), targets: [folder] };
}

const IMAGENET: Layout = { arrange: arrangeImageNet, targets: ["train", "val"] };

const LAYOUTS: Readonly<Record<string, Layout>> = {
  "cifar10": oneFolder("cifar-10-batches-bin", [
    ...[1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`),
    "test_batch.bin",
  ]),
  "cifar100": oneFolder("cifar-100-binary", ["train.bin", "test.bin"]),
  "cifar10.1": { arrange: arrangeCifar101, targets: SOURCES["cifar10.1"].files.map(({ name }) => name) },
  "cifar10-c": oneFolder("CIFAR-10-C", ["labels.npy", ...CORRUPTIONS.map((name) => `${name}.npy`)]),
  "stl10": oneFolder("stl10_binary", ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"]),
  "oxford102flowers": { arrange: arrangeFlowers, targets: ["train", "val", "test"] },
  "oxfordpets": { arrange: arrangePets, targets: ["annotations", "train", "val"] },
  "imagenet": IMAGENET,
  "imagenet100": IMAGENET,
  "custom": { arrange: arrangeCustom, targets: ["train"] },
};

/**
 * Arranges a data set in its staging folder. A run that was interrupted is continued: files that are there are not
 * written again.
 *
 * @throws {FormatError} if an archive is damaged, hostile or not of that data set
 * @throws {UsageError} if the data set is unknown, or has not the classes that are asked for
 */
export async function arrange(name: string, arrangement: Arrangement): Promise<void> {
  await layoutOf(name).arrange(arrangement);
}

/** The files and folders that a data set becomes, as far as they are known before its archives are. */
export function targetsOf(name: string): readonly string[] {
  return layoutOf(name).targets;
}

function layoutOf(name: string): Layout {
  const layout = LAYOUTS[name];
  if (layout !== undefined) return layout;
  throw new UsageError(`Cannot prepare ${name}: only ${Object.keys(LAYOUTS).join(", ")}`);
}

async function unpack(
  { files, staging, allowance, onFile }: Arrangement,
  archive: string,
  target: (path: string) => string | undefined,
): Promise<void> {
  for await (const file of archiveFiles(files.get(archive)!, allowance)) {
    const to = target(file.path);
    if (to === undefined) continue;
    await writeEntry(`${staging}/${to}`, file);
    onFile?.();
  }
}

async function requireFiles({ staging, files }: Arrangement, paths: Iterable<string>): Promise<void> {
  for (const path of paths) {
    if ((await statOf(`${staging}/${path}`))?.isFile) continue;
    throw new FormatError(`Cannot arrange ${[...files.keys()].join(", ")}: ${path} is not in the archive`);
  }
}
