/** Data sets prepared from a local server, for tests. */

import { fromFileUrl } from "@std/path";
import { prepare, type PrepareOptions } from "../../tasks/data/prepare.ts";
import { customSource, SOURCES } from "../../tasks/data/sources.ts";
import { cifarRecords } from "../commands/task.ts";
import { GRAY_JPEG, JPEG } from "../data/arrays.ts";
import { type Behaviour, gzip, serve, tarOf, type TestServer } from "./server.ts";

/** CIFAR-10 of 23 images, as its archive has it. */
export const CIFAR_FILES = {
  ...Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`cifar-10-batches-bin/data_batch_${i}.bin`, cifarRecords(4, i)])),
  "cifar-10-batches-bin/test_batch.bin": cifarRecords(3, 9),
  "cifar-10-batches-bin/readme.html": "read me",
};

/** Files by path. */
export type Files = Readonly<Record<string, Uint8Array>>;

/** What is known by file name, by its path on a server. */
export function slashed<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [`/${name}`, value]));
}

/** What was prepared, and what the server was asked for. */
type Outcome = Awaited<ReturnType<typeof prepare>> & { requests: string[] };

/** Prepares a data set in its official layout from a local server, without the published digests. */
export async function prepared(
  folder: string,
  name: string,
  files: Files,
  { behaviours = {}, ...options }: Partial<PrepareOptions> & { behaviours?: Record<string, Behaviour[]> } = {},
): Promise<Outcome> {
  await using server = serve(slashed(files), slashed(behaviours));
  return await preparedFrom(server, folder, name, { archive: Object.keys(files)[0], ...options });
}

/** Prepares a data set from a server, without the published digests; `archive` is the name of that of `custom`. */
export async function preparedFrom(
  server: TestServer,
  folder: string,
  name: string,
  { archive, ...options }: Partial<PrepareOptions> & { archive?: string } = {},
): Promise<Outcome> {
  const url = name === "custom" ? `${server.address}/${archive}` : server.address;
  const source = name === "custom" ? customSource(url) : SOURCES[name];
  const result = await prepare({ name, source, folder, url, unverified: true, wait: 1, attempts: 2, ...options });
  return { ...result, requests: server.requests };
}

/** Paths of all files below a folder, sorted. */
export function tree(folder: string): string[] {
  const list = (path: string): string[] =>
    [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) =>
      isDirectory ? list(`${path}/${name}`) : [`${path}/${name}`]
    );
  return list(folder).map((path) => path.slice(folder.length + 1)).sort();
}

const CMYK = fromFileUrl(new URL("../fixtures/cmyk/plain.jpg", import.meta.url));

/** ImageNet's three archives with two classes; one training image is CMYK. */
export async function imagenet(): Promise<Files> {
  const meta = await Deno.readFile(fromFileUrl(new URL("../fixtures/mat/meta.mat", import.meta.url)));
  const class1 = tarOf({ "n00000011_1.JPEG": JPEG, "n00000011_2.JPEG": await Deno.readFile(CMYK) });
  return {
    "ILSVRC2012_devkit_t12.tar.gz": await gzip(tarOf({
      "ILSVRC2012_devkit_t12/data/meta.mat": meta,
      "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "2\n1\n2\n",
    })),
    "ILSVRC2012_img_val.tar": tarOf(
      Object.fromEntries([1, 2, 3].map((i) => [`ILSVRC2012_val_0000000${i}.JPEG`, i === 1 ? GRAY_JPEG : JPEG])),
    ),
    "ILSVRC2012_img_train.tar": tarOf({
      "n00000011.tar": class1,
      "n00000022.tar": tarOf({ "n00000022_5.JPEG": GRAY_JPEG }),
    }),
  };
}
