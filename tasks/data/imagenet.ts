/**
 * ImageNet's three archives as `train/<wnid>/` and `val/<wnid>/`.
 *
 * @module
 */

import { type MatArray, readMat } from "../../lib/data/mat.ts";
import { FormatError, UsageError } from "../../lib/errors.ts";
import type { Arrangement } from "./arrange.ts";
import { type ArchiveFile, archiveFiles, innerFiles, readBody, writeEntry } from "./unpack.ts";

const DEVKIT = "ILSVRC2012_devkit_t12.tar.gz", VAL = "ILSVRC2012_img_val.tar", TRAIN = "ILSVRC2012_img_train.tar";
/** The largest photograph has 15 MB. */
const MAX_IMAGE_BYTES = 64 * 2 ** 20;

/** What the development kit says. */
interface Kit {
  /** WordNet number of each class by its number, from 1 on. */
  readonly wnids: ReadonlyMap<number, string>;
  /** WordNet number of each validation image, in order. */
  readonly validation: readonly string[];
}

/** See {@linkcode arrange}. */
export async function arrangeImageNet(arrangement: Arrangement): Promise<void> {
  const { files, allowance, classes } = arrangement;
  const { wnids, validation } = await readKit(arrangement);
  const wanted = new Set(classes ?? wnids.values());
  for (const wnid of wanted) {
    if (![...wnids.values()].includes(wnid)) throw new UsageError(`Cannot arrange ImageNet: it has no class ${wnid}`);
  }
  let seen = 0;
  const place = async (path: string, file: ArchiveFile) => {
    await writeImage(`${arrangement.staging}/${path}`, file);
    arrangement.onFile?.();
  };
  for await (const file of archiveFiles(files.get(VAL)!, allowance)) {
    const number = Number(/(?:^|\/)ILSVRC2012_val_(\d{8})\.JPEG$/.exec(file.path)?.[1]);
    const wnid = validation[number - 1];
    if (wnid === undefined) throw new FormatError(`Cannot arrange ${VAL}: ${file.path} is no validation image`);
    seen++;
    if (wanted.has(wnid)) await place(`val/${wnid}/${file.path.replace(/^.*\//, "")}`, file);
  }
  if (seen !== validation.length) {
    throw new FormatError(`Cannot arrange ${VAL}: it holds ${seen} images; ${validation.length} are required`);
  }
  const missing = new Set(wanted);
  for await (const inner of archiveFiles(files.get(TRAIN)!, allowance)) {
    const wnid = /(?:^|\/)(n\d{8})\.tar$/.exec(inner.path)?.[1];
    if (wnid === undefined) throw new FormatError(`Cannot arrange ${TRAIN}: ${inner.path} is no class's archive`);
    missing.delete(wnid);
    if (!wanted.has(wnid)) continue;
    for await (const file of innerFiles(inner, allowance)) {
      await place(`train/${wnid}/${file.path.replace(/^.*\//, "")}`, file);
    }
  }
  if (missing.size > 0) {
    throw new FormatError(
      `Cannot arrange ${TRAIN}: the archives of ${missing.size} classes are missing, as ${[...missing][0]}`,
    );
  }
}

async function readKit({ files, allowance }: Arrangement): Promise<Kit> {
  let meta: Uint8Array | undefined, truth: string | undefined;
  for await (const file of archiveFiles(files.get(DEVKIT)!, allowance)) {
    if (file.path.endsWith("data/meta.mat")) meta = await readBody(file);
    if (file.path.endsWith("data/ILSVRC2012_validation_ground_truth.txt")) {
      truth = new TextDecoder().decode(await readBody(file));
    }
  }
  if (meta === undefined || truth === undefined) {
    throw new FormatError(
      `Cannot arrange ${DEVKIT}: data/meta.mat and data/ILSVRC2012_validation_ground_truth.txt are required`,
    );
  }
  const wnids = await readWnids(meta);
  const validation = truth.split("\n").filter((line) => line.trim() !== "").map((line, index) => {
    const wnid = wnids.get(Number(line));
    if (wnid !== undefined) return wnid;
    throw new FormatError(`Cannot arrange ${DEVKIT}: validation image ${index + 1} has the unknown class ${line}`);
  });
  return { wnids, validation };
}

/** Leaves of the hierarchy; inner nodes are no classes. */
async function readWnids(bytes: Uint8Array): Promise<Map<number, string>> {
  const synsets = (await readMat(bytes, "data/meta.mat")).get("synsets");
  const wnids = new Map<number, string>();
  for (const fields of synsets?.kind === "struct" ? synsets.elements : []) {
    const wnid = fields.get("WNID");
    if (wnid?.kind === "text" && /^n\d{8}$/.test(wnid.text) && first(fields.get("num_children")) === 0) {
      wnids.set(first(fields.get("ILSVRC2012_ID")), wnid.text);
    }
  }
  if (wnids.size === 0) throw new FormatError(`Cannot arrange ${DEVKIT}: data/meta.mat has no classes ("synsets")`);
  return wnids;
}

function first(array: MatArray | undefined): number {
  return array?.kind === "numeric" ? array.values[0] : NaN;
}

async function writeImage(target: string, file: ArchiveFile): Promise<void> {
  if (file.size > MAX_IMAGE_BYTES) {
    throw new FormatError(
      `Cannot unpack ${file.path}: it has ${file.size} bytes; an image of at most ${MAX_IMAGE_BYTES} is required`,
    );
  }
  await writeEntry(target, file);
}
