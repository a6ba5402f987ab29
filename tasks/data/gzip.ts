/**
 * Gzip files, streamed: of any number of members, as pigz and concatenation make them, and padded by zeros.
 *
 * @module
 */

import { createGunzip } from "node:zlib";
import { pipeline, Readable } from "node:stream";
import { FormatError } from "../../lib/errors.ts";

const MAGIC = [0x1f, 0x8b];

/** What is mistaken for gzip, by its first bytes. */
const OTHERS: readonly (readonly [name: string, magic: readonly number[], at?: number])[] = [
  ["a tar archive that is not compressed", [0x75, 0x73, 0x74, 0x61, 0x72], 257],
  ["an xz file", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ["a bzip2 file", [0x42, 0x5a, 0x68]],
  ["a Zstandard file", [0x28, 0xb5, 0x2f, 0xfd]],
  ["a zip archive", [0x50, 0x4b, 0x03, 0x04]],
];

/**
 * What a gzip file holds.
 *
 * @throws {FormatError} if it is no gzip file; what is wrong further on, the stream tells
 */
export async function gunzipped(path: string): Promise<AsyncIterable<Uint8Array>> {
  const file = await Deno.open(path), head = new Uint8Array(512);
  const length = await file.read(head) ?? 0;
  if (!beginsWith(head, MAGIC)) {
    file.close();
    throw new FormatError(`it is no gzip file: ${describe(head.subarray(0, length))}`);
  }
  await file.seek(0, Deno.SeekMode.Start);
  const unpacked = createGunzip({ chunkSize: 2 ** 18 });
  // Errors of either come out of the second; it is read by whoever asked for it.
  pipeline(Readable.from(file.readable), unpacked, () => {});
  return unpacked;
}

function describe(head: Uint8Array): string {
  const [known] = OTHERS.find(([, magic, at]) => beginsWith(head.subarray(at), magic)) ?? [];
  if (known !== undefined) return `it is ${known}`;
  if (head.length === 0) return "it is empty";
  const text = new TextDecoder().decode(head.subarray(0, 40));
  // deno-lint-ignore no-control-regex -- what has a control character or an undecodable one is no text
  if (!/[\x00-\x08\x0e-\x1f\ufffd]/.test(text)) return `it begins with the text ${JSON.stringify(text)}`;
  return `it begins with the bytes ${
    [...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")
  }`;
}

function beginsWith(head: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => head[i] === byte);
}
