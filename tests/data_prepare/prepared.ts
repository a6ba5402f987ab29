/** Data sets prepared from a local server, for tests. */

import { prepare, type PrepareOptions } from "../../tasks/data/prepare.ts";
import { customSource, SOURCES } from "../../tasks/data/sources.ts";
import { cifarRecords } from "../commands/task.ts";
import { type Behaviour, serve, type TestServer } from "./server.ts";

/** CIFAR-10 of 23 images, as its archive has it. */
export const CIFAR_FILES = {
  ...Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`cifar-10-batches-bin/data_batch_${i}.bin`, cifarRecords(4, i)])),
  "cifar-10-batches-bin/test_batch.bin": cifarRecords(3, 9),
  "cifar-10-batches-bin/readme.html": "read me",
};

/** Files by path. */
export type Files = Readonly<Record<string, Uint8Array>>;

/** What was prepared, and what the server was asked for. */
type Outcome = Awaited<ReturnType<typeof prepare>> & { requests: string[] };

/** Prepares a data set in its official layout from a local server, without the published digests. */
export async function prepared(
  folder: string,
  name: string,
  files: Files,
  { behaviours = {}, ...options }: Partial<PrepareOptions> & { behaviours?: Record<string, Behaviour[]> } = {},
): Promise<Outcome> {
  const slashed = (record: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [`/${name}`, value]));
  await using server = serve(slashed(files) as Files, slashed(behaviours) as Record<string, Behaviour[]>);
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
