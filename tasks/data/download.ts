/**
 * Downloads that survive broken connections: resumed where they stopped, checked against their digest, and given their
 * name only when they are whole.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { open, type PartialFile, Refusal, Stale, startOf, totalOf, validatorOf } from "./answers.ts";
import { removeIfThere, statOf, textOf } from "./files.ts";
import type { Digest } from "./sources.ts";

/** The file is not the published one. */
export class WrongDigest extends Error {}

/** What to download. */
export interface Download {
  readonly url: string;
  /** Where the file goes. */
  readonly path: string;
  readonly digest?: Digest;
  readonly maxBytes: number;
}

/** How patient to be, and whom to tell. */
export interface DownloadOptions {
  /** Connections in a row that may bring nothing new; default 5. */
  readonly attempts?: number;
  /** Milliseconds before the second attempt, doubled before each further one; default 1000. */
  readonly wait?: number;
  /** Milliseconds without a byte after which a connection counts as broken; default 60,000. */
  readonly stall?: number;
  /** Bytes so far, and in all where the server says. */
  onProgress?(bytes: number, total: number | undefined): void;
}

/**
 * Downloads a file. What a broken attempt brought stays in `<path>.partial`, and the next one asks for the rest; a
 * server that ignores the question sends all again.
 *
 * @returns the file's SHA-256
 * @throws Error with one line: no permission for the host, a server's refusal, a digest that is not the published one,
 *   or a connection that broke too often
 */
export async function download(file: Download, options: DownloadOptions = {}): Promise<string> {
  const { attempts = 5, wait = 1000 } = options;
  for (let failures = 0, size = await keptSize(file);;) {
    try {
      await attempt(file, options);
      break;
    } catch (cause) {
      if (cause instanceof Refusal || cause instanceof Deno.errors.NotCapable) throw cause;
      const now = await keptSize(file);
      failures = now > size ? 1 : failures + 1;
      size = Math.max(size, now);
      if (failures >= attempts) {
        throw new Error(
          `Cannot download ${file.url}: ${
            (cause as Error).message
          }; ${now} bytes are kept: run the command again to go on`,
          { cause },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, wait * 2 ** (failures - 1)));
    }
  }
  const sha256 = await verify(`${file.path}.partial`, file).catch(async (error) => {
    await forget(file.path);
    throw error;
  });
  await Deno.rename(`${file.path}.partial`, file.path);
  await removeIfThere(`${file.path}.partial.json`);
  return sha256;
}

/**
 * Compares a file with its published digest.
 *
 * @returns its SHA-256
 * @throws {WrongDigest} with one line that names both digests
 */
export async function verify(path: string, { url, digest }: Pick<Download, "url" | "digest">): Promise<string> {
  const sha256 = createHash("sha256");
  const other = digest?.algorithm === "md5" ? createHash("md5") : undefined;
  using file = await Deno.open(path);
  const buffer = new Uint8Array(2 ** 20);
  for (let count; (count = await file.read(buffer)) !== null;) {
    sha256.update(buffer.subarray(0, count));
    other?.update(buffer.subarray(0, count));
  }
  const hex = sha256.digest("hex");
  const found = other?.digest("hex") ?? hex;
  if (digest !== undefined && found !== digest.hex) {
    throw new WrongDigest(
      `Cannot use ${url}: its ${digest.algorithm} is ${found}, but ${digest.hex} is published; download it again, or ` +
        "from elsewhere (--url)",
    );
  }
  return hex;
}

/** One connection. */
async function attempt(file: Download, options: DownloadOptions): Promise<void> {
  const had = await readPartial(file);
  const from = await keptSize(file);
  const abort = new AbortController();
  try {
    const response = await open(file.url, from, had?.validator, abort.signal);
    const start = startOf(response, from, had, file);
    if (start === undefined) return;
    const total = totalOf(response) ?? (start > 0 ? had?.total : undefined);
    if ((total ?? 0) > file.maxBytes) {
      await forget(file.path);
      throw new Refusal(`Cannot download ${file.url}: it has ${total} bytes; at most ${file.maxBytes} are expected`);
    }
    if (start === 0) {
      // In this order: bytes of another version must never lie beside this one's description.
      await forget(file.path);
      const state: PartialFile = { url: file.url, validator: validatorOf(response), total };
      await Deno.writeTextFile(`${file.path}.partial.json`, JSON.stringify(state));
    }
    const size = await append(response, start, total, file, options);
    if (total !== undefined && size < total) throw new Error(`the connection broke after ${size} of ${total} bytes`);
    if (total !== undefined && size > total) throw new Stale(`the server sends ${size} bytes, and states ${total}`);
    if (file.digest === undefined) await requireEnd(file, size, validatorOf(response), abort.signal);
  } catch (error) {
    if (error instanceof Stale) await forget(file.path);
    throw error;
  } finally {
    abort.abort();
  }
}

/** Writes a body behind the first `start` bytes; resolves to the file's size. */
async function append(
  response: Response,
  start: number,
  total: number | undefined,
  file: Download,
  options: DownloadOptions,
): Promise<number> {
  using out = await Deno.open(`${file.path}.partial`, { write: true, create: true });
  await out.seek(start, Deno.SeekMode.Start);
  let size = start;
  for await (const chunk of stalling(response.body!, options.stall ?? 60_000)) {
    size += chunk.length;
    if (size > file.maxBytes) {
      await forget(file.path);
      throw new Refusal(`Cannot download ${file.url}: more than the expected ${file.maxBytes} bytes are sent`);
    }
    for (let rest = chunk; rest.length > 0;) rest = rest.subarray(await out.write(rest));
    options.onProgress?.(size, total);
  }
  await out.sync();
  return size;
}

/**
 * Asks what comes after the last byte, where no digest would tell: a body without a stated length ends like a broken
 * connection, and of one that is longer than stated the rest is dropped. A server that ignores ranges is believed.
 */
async function requireEnd(
  { url }: Download,
  size: number,
  validator: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const response = await open(url, size, validator, signal);
  await response.body?.cancel();
  const { status } = response;
  const total = status === 200 || status === 206 || status === 416 ? totalOf(response) : undefined;
  if (total === size || (total === undefined && status !== 206)) return;
  throw new Error(`the connection ended after ${size} bytes, and the server has ${total ?? "more"}`);
}

/** The chunks of a body; fails where none comes for `limit` milliseconds. */
async function* stalling(body: ReadableStream<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`nothing came for ${limit / 1000} s`)), limit);
      });
      try {
        const { done, value } = await Promise.race([reader.read(), late]);
        if (done) return;
        yield value;
      } finally {
        clearTimeout(timer);
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** How many bytes a next attempt goes on from. */
async function keptSize(file: Download): Promise<number> {
  return await readPartial(file) === undefined ? 0 : await partialSize(file.path);
}

async function partialSize(path: string): Promise<number> {
  return (await statOf(`${path}.partial`))?.size ?? 0;
}

/**
 * What the partial file is a part of; `undefined` where there is none, or it is of another address, or nothing would
 * tell whether the server still has that version.
 */
async function readPartial({ path, url, digest }: Download): Promise<PartialFile | undefined> {
  if (await partialSize(path) === 0) return undefined;
  const state = parsePartial(await textOf(`${path}.partial.json`) ?? "");
  return state?.url === url && (digest !== undefined || state.validator !== undefined) ? state : undefined;
}

/** A process that was killed may have left half of it. */
function parsePartial(text: string): PartialFile | undefined {
  try {
    return JSON.parse(text) as PartialFile;
  } catch {
    return undefined;
  }
}

async function forget(path: string): Promise<void> {
  await removeIfThere(`${path}.partial`);
  await removeIfThere(`${path}.partial.json`);
}
