/**
 * One request for a file, or for the rest of it, and what the answer means.
 *
 * @module
 */

/** A server's answer that another attempt would not change. */
export class Refusal extends Error {}

/** What is kept is no part of what the server has: the next attempt begins anew. */
export class Stale extends Error {}

/** What the bytes that are kept of a download are a part of. */
export interface PartialFile {
  readonly url: string;
  /** `ETag` or `Last-Modified`: a resumed download must be of the same version. */
  readonly validator?: string;
  readonly total?: number;
}

/** What an answer is judged by. */
interface Asked {
  readonly url: string;
  readonly digest?: unknown;
}

const MAX_REDIRECTS = 10;

/** Opens an address, asking for what comes after `from`; each host on the way must be permitted. */
export async function open(
  url: string,
  from: number,
  validator: string | undefined,
  signal: AbortSignal,
): Promise<Response> {
  // Ranges count the bytes that are sent: the file's own only where they are not compressed on the way.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (from > 0) headers["range"] = `bytes=${from}-`;
  if (from > 0 && validator !== undefined) headers["if-range"] = validator;
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

/** Where an answer's bytes begin in the file; `undefined` where the file is whole already. */
export function startOf(
  response: Response,
  from: number,
  had: PartialFile | undefined,
  file: Asked,
): number | undefined {
  const { status } = response;
  if (status === 200) return 0;
  if (status === 206 || status === 416) {
    const range = RANGE.exec(response.headers.get("content-range") ?? "");
    const total = totalOf(response);
    if (status === 206 && Number(range?.[1]) === from) {
      requireSame(had, total, validatorOf(response));
      return from;
    }
    if (status === 416 && total === from) {
      // With a digest it does not matter who was wrong before.
      if (file.digest === undefined) requireSame(had, total, undefined);
      return undefined;
    }
    throw new Stale(`the server has no bytes after the first ${from}`);
  }
  const text = `the server answers ${status} ${response.statusText}`.trim();
  // Too many requests and failures of the server may pass.
  if (status === 429 || status >= 500) throw new Error(text);
  throw new Refusal(`Cannot download ${file.url}: ${text}`);
}

/** `Content-Range`: the first byte where there are some, and how many there are in all where that is known. */
const RANGE = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/;

/** Makes sure that the rest is of the version that was begun, as far as the server says. */
function requireSame(had: PartialFile | undefined, total: number | undefined, validator: string | undefined): void {
  if (had?.total !== undefined && total !== undefined && had.total !== total) {
    throw new Stale(`the server has ${total} bytes of it, and had ${had.total} when the download was begun`);
  }
  if (validator !== undefined && had?.validator !== undefined && validator !== had.validator) {
    throw new Stale(`the server has version ${validator}, and had ${had.validator} when the download was begun`);
  }
}

/** What tells versions apart, as the server has it. */
export function validatorOf({ headers }: Response): string | undefined {
  return headers.get("etag") ?? headers.get("last-modified") ?? undefined;
}

/** How many bytes the file has. */
export function totalOf({ status, headers }: Response): number | undefined {
  if (status !== 200) {
    const total = RANGE.exec(headers.get("content-range") ?? "")?.[2];
    return total === undefined || total === "*" ? undefined : Number(total);
  }
  const length = headers.get("content-length");
  // A body that is sent compressed has another length than the file.
  return length === null || headers.has("content-encoding") ? undefined : Number(length);
}
