/**
 * Which flags of the data are read: of sets in folders, of sets that are decoded, of sets that something is measured on.
 *
 * @module
 */

import { type DatasetName, resolveName } from "../../lib/data/load.ts";
import type { DataFlags } from "./treatment.ts";

/** Test sets in files of fixed names. */
const FIXED: ReadonlySet<DatasetName> = new Set(["cifar10.1", "cifar10.1-v4", "cifar10.1-v6", "cifar10-c"]);
/** Sets that are computed. */
const COMPUTED: ReadonlySet<DatasetName> = new Set(["procedural-source", "procedural-downstream"]);
/** Sets whose pixels lie in their files as they are: nothing is decoded that could be kept. */
const PLAIN_PIXELS: ReadonlySet<DatasetName> = new Set([...FIXED, ...COMPUTED, "cifar10", "cifar100", "stl10"]);

/** Refuses those of the flags that are given; `why` goes on from `Cannot use --flag`. */
export type Refuse = (names: readonly string[], why: string) => void;

/**
 * Refuses flags of the data that nothing would read.
 *
 * @param unmeasured why nothing is measured, where that is so; goes on from `Cannot use --flag`
 * @throws UsageError that names the flag, or the sets where one is unknown
 */
export function requireReadDataFlags(flags: DataFlags, refuse: Refuse, unmeasured?: string): void {
  const train = resolveName(flags.trainDataset), val = measuredSet(flags, refuse, unmeasured);
  const sets = val === undefined ? [train] : [train, val], names = [...new Set(sets)].join(" and ");
  if (inNoFolder(train)) refuse(["trainDir"], `with ${train}: it has no folder of training images, which is required`);
  if (sets.every((set) => COMPUTED.has(set))) {
    refuse(["dataDir"], `with ${names}: the images are computed, and a set in files is required`);
  }
  if (sets.every((set) => PLAIN_PIXELS.has(set))) {
    refuse(["cacheDir", "cacheSize"], `with ${names}: nothing is decoded, and a set of JPEG or PNG files is required`);
    refuse(["classList"], `with ${names}: the classes are fixed, and a set in folders of classes is required`);
  }
}

function inNoFolder(set: DatasetName): boolean {
  return FIXED.has(set) || COMPUTED.has(set);
}

/** The set that is read to be measured on, if any; refuses the flags that only another one would have. */
function measuredSet(flags: DataFlags, refuse: Refuse, unmeasured: string | undefined): DatasetName | undefined {
  const own = ["valDataset", "valDir", "corruption", "severity"];
  if (unmeasured !== undefined) return void refuse(own, unmeasured);
  if (flags.valSplit > 0) {
    return void refuse(own, "with --val-split: what that holds out is measured on, and no other set is read");
  }
  const val = resolveName(flags.valDataset ?? flags.trainDataset);
  if (inNoFolder(val)) refuse(["valDir"], `with ${val}: it has no folder of validation images, which is required`);
  if (val !== "cifar10-c") refuse(["corruption", "severity"], `with ${val}: --val-dataset cifar10-c is required`);
  return val;
}

/**
 * Refuses a place for decoded images that is none.
 *
 * @throws Error where it is a file, or lies below one
 */
export async function requireCacheFolder({ cacheDir, cacheSize }: DataFlags): Promise<void> {
  if (!cacheDir || cacheSize === 0) return;
  try {
    if ((await Deno.stat(cacheDir)).isDirectory) return;
  } catch (error) {
    // What is not there is made; what may not be read is no cache.
    if (!(error instanceof Deno.errors.NotADirectory)) return;
  }
  throw new Error(
    `Cannot keep decoded images in ${cacheDir}: it is a file or lies below one, and a folder is required (--cache-dir)`,
  );
}
