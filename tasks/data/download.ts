/**
 * Downloads that survive broken connections: resumed where they stopped, checked against their digest, and given their
 * name only when they are whole.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Digest } from "./sources.ts";

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

/** A server's answer that another attempt would not change. */
class Refusal extends Error {}

/** What is kept is no part of what the server has: the next attempt begins anew. */
class Stale extends Error {}

/** What a partial file is a part of. */
interface Partial {
  readonly url: string;
  /** `ETag` or `Last-Modified`: a resumed download must be of the same version. */
  readonly validator?: string;
  readonly total?: number;
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
  for (let failures = 0, size = await partialSize(file.path);;) {
    try {
      await attempt(file, options);
      break;
    } catch (cause) {
      const now = await partialSize(file.path);
      if (cause instanceof Refusal || cause instanceof Deno.errors.NotCapable) throw cause;
      failures = now > size ? 1 : failures + 1;
      size = now;
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
  await Deno.remove(`${file.path}.partial.json`).catch(() => {});
  return sha256;
}

/**
 * Compares a file with its published digest.
 *
 * @returns its SHA-256
 * @throws Error with one line that names both digests
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
    throw new Error(
      `Cannot use ${url}: its ${digest.algorithm} is ${found}, but ${digest.hex} is published; download it again, or ` +
        "from elsewhere (--url)",
    );
  }
  return hex;
}

/** One connection. */
async function attempt(file: Download, options: DownloadOptions): Promise<void> {
  const partial = `${file.path}.partial`;
  const had = await readPartial(file);
  const from = had === undefined ? 0 : await partialSize(file.path);
  const abort = new AbortController();
  const response = await open(file.url, from, had?.validator, abort.signal);
  try {
    const start = startOf(response, from, file);
    if (start === undefined) return;
    const total = totalOf(response, start);
    if ((total ?? 0) > file.maxBytes) {
      await forget(file.path);
      throw new Refusal(`Cannot download ${file.url}: it has ${total} bytes; at most ${file.maxBytes} are expected`);
    }
    const validator = response.headers.get("etag") ?? response.headers.get("last-modified") ?? undefined;
    const state: Partial = { url: file.url, validator, total };
    if (start === 0) await Deno.writeTextFile(`${file.path}.partial.json`, JSON.stringify(state));
    using out = await Deno.open(partial, { write: true, create: true, truncate: start === 0 });
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
    if (total !== undefined && size < total) throw new Error(`the connection broke after ${size} of ${total} bytes`);
    await out.sync();
  } catch (error) {
    if (error instanceof Stale) await forget(file.path);
    throw error;
  } finally {
    abort.abort();
  }
}

const MAX_REDIRECTS = 10;

/** Opens an address, asking for what comes after `from`; each host on the way must be permitted. */
async function open(url: string, from: number, validator: string | undefined, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = from > 0
    ? { "range": `bytes=${from}-`, ...(validator === undefined ? {} : { "if-range": validator }) }
    : {};
  for (let next = url, hops = 0; hops <= MAX_REDIRECTS; hops++) {
    await requireHost(next, url);
    const response = await fetch(next, { headers, redirect: "manual", signal });
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (location === null) throw new Refusal(`Cannot download ${url}: it redirects to nowhere`);
    next = new URL(location, next).href;
  }
  throw new Refusal(`Cannot download ${url}: it redirects more than ${MAX_REDIRECTS} times`);
}

/** Refuses a host without permission, rather than ask for it. */
async function requireHost(address: string, url: string): Promise<void> {
  const { host, protocol } = new URL(address);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new Refusal(`Cannot download ${url}: its protocol is ${protocol}; http or https is required`);
  }
  if ((await Deno.permissions.query({ name: "net", host })).state === "granted") return;
  const by = address === url ? "" : ` (where it redirects to ${address})`;
  throw new Refusal(`Cannot download ${url}${by}: the network is not permitted; run with --allow-net=${host}`);
}

/** Where the answer's bytes begin in the file; `undefined` where the file is whole already. */
function startOf(response: Response, from: number, { url }: Download): number | undefined {
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  if (response.status === 206 && range?.[1] !== undefined && Number(range[1]) === from) return from;
  if (response.status === 200) return 0;
  if (response.status === 416 && Number(range?.[2]) === from) return undefined;
  if (response.status === 206 || response.status === 416) {
    throw new Stale(`the server has no bytes after the first ${from}`);
  }
  const text = `the server answers ${response.status} ${response.statusText}`.trim();
  // Too many requests and failures of the server may pass.
  if (response.status === 429 || response.status >= 500) throw new Error(text);
  throw new Refusal(`Cannot download ${url}: ${text}`);
}

function totalOf(response: Response, start: number): number | undefined {
  const range = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (response.status === 206 && range !== null) return Number(range[1]);
  const length = response.headers.get("content-length");
  // A body that is sent compressed has another length than the file.
  if (length === null || response.headers.has("content-encoding")) return undefined;
  return start + Number(length);
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

async function partialSize(path: string): Promise<number> {
  return (await Deno.stat(`${path}.partial`).catch(() => undefined))?.size ?? 0;
}

/** What the partial file is a part of; `undefined` where there is none or it is of another address. */
async function readPartial({ path, url }: Download): Promise<Partial | undefined> {
  if (await partialSize(path) === 0) return undefined;
  try {
    const state = JSON.parse(await Deno.readTextFile(`${path}.partial.json`)) as Partial;
    return state.url === url ? state : undefined;
  } catch {
    return undefined;
  }
}

async function forget(path: string): Promise<void> {
  await Deno.remove(`${path}.partial`).catch(() => {});
  await Deno.remove(`${path}.partial.json`).catch(() => {});
}
