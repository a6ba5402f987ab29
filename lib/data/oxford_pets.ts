/**
 * Oxford-IIIT Pet: 37 breeds, with trimaps of every image (Parkhi, Vedaldi, Zisserman, Jawahar, "Cats and dogs", 2012).
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { ImageStream } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { type FileStreamOptions, openFiles } from "./file_stream.ts";
import { isFile } from "./files.ts";

/** Number of breeds. */
export const PET_CLASSES = 37;

/** The official lists: 3,680 images to train on, 3,669 to test. */
export type PetList = "trainval" | "test";

/** A line of a list. */
export interface PetEntry {
  /** File name without its ending, as `Abyssinian_100`. */
  readonly image: string;
  /** Breed, 0 to 36. */
  readonly label: number;
}

/** What a pixel of a trimap says. */
export const TRIMAP = { pet: 1, background: 2, border: 3 } as const;

/** A trimap: `[height, width]` values of {@linkcode TRIMAP}. */
export interface Trimap {
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
  /** `[height, width]` */
  readonly values: Uint8Array;
}

/** A breed's folder in the original system's layout: `00` to `36`. */
export function petFolder(label: number): string {
  return String(label).padStart(2, "0");
}

/**
 * Reads `annotations/trainval.txt` or `test.txt`: image, breed from 1 on, species, breed within the species.
 *
 * @throws {FormatError} if a line is no such entry
 */
export async function readPetList(path: string): Promise<PetEntry[]> {
  if (!await isFile(path)) throw new Error(`Cannot read the list ${path}: there is no such file; download it too`);
  const lines = (await Deno.readTextFile(path)).split("\n").map((line) => line.trim());
  const entries = lines.flatMap((line, index): PetEntry[] => {
    if (line === "" || line.startsWith("#")) return [];
    const [, image, label] = /^([\w.-]+) (\d+)( \d+)*$/.exec(line) ?? [];
    if (image === undefined || Number(label) < 1 || Number(label) > PET_CLASSES) {
      throw new FormatError(
        `Cannot read ${path}: line ${index + 1} is "${line.slice(0, 60)}"; an image's name and its breed from 1 to ` +
          `${PET_CLASSES} are required`,
      );
    }
    return [{ image, label: Number(label) - 1 }];
  });
  if (entries.length === 0) throw new FormatError(`Cannot read ${path}: it lists no image; download it again`);
  return entries;
}

/**
 * Opens the pets as Oxford lays them out: `images/`, `annotations/`.
 *
 * @throws {FormatError} if a list is damaged
 */
export async function openOxfordPets(folder: string, list: PetList, options: FileStreamOptions): Promise<ImageStream> {
  const entries = await readPetList(`${folder}/annotations/${list}.txt`);
  const names = Array.from({ length: PET_CLASSES }, (_, label) => petFolder(label));
  return openFiles(folder, {
    classNames: names,
    paths: entries.map(({ image }) => `${folder}/images/${image}.jpg`),
    labels: Uint32Array.from(entries, ({ label }) => label),
  }, options);
}

/**
 * Reads the trimap of an image.
 *
 * @param folder the data set's; it holds `annotations/trimaps/`
 * @param image the image's name, with or without folder and ending: `Abyssinian_100`, `train/00/Abyssinian_100.jpg`
 * @throws {FormatError} if the file is damaged or a pixel is none of {@linkcode TRIMAP}
 */
export async function readTrimap(folder: string, image: string): Promise<Trimap> {
  const name = image.replace(/^.*[\\/]/, "").replace(/\.(jpe?g|png)$/i, "");
  const path = `${folder}/annotations/trimaps/${name}.png`;
  if (!await isFile(path)) throw new Error(`Cannot read the trimap of ${image}: there is no ${path}`);
  const { width, height, rgb } = await decodeImage(await Deno.readFile(path), path);
  const values = Uint8Array.from({ length: width * height }, (_, pixel) => rgb[3 * pixel]);
  const wrong = values.findIndex((value) => value < TRIMAP.pet || value > TRIMAP.border);
  if (wrong >= 0) {
    throw new FormatError(`Cannot read the trimap ${path}: pixel ${wrong} is ${values[wrong]}; 1, 2 or 3 is required`);
  }
  return { width, height, values };
}
