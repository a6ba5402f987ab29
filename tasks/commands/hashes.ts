/**
 * What files and arrays are told apart by.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** The SHA-256 of bytes, in hexadecimal. Not by Web Crypto, which copies them. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** One SHA-256 for several arrays. */
export function sha256OfArrays(arrays: readonly ArrayBufferView[]): string {
  const digests = arrays.map(({ buffer, byteOffset, byteLength }) =>
    sha256(new Uint8Array(buffer, byteOffset, byteLength))
  );
  return sha256(new TextEncoder().encode(digests.join()));
}
