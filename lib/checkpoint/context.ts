/**
 * Says in every error what was being read.
 *
 * @module
 */

import { FormatError } from "../errors.ts";

function inContext(attempt: string, error: unknown): unknown {
  return error instanceof FormatError ? new FormatError(`${attempt}: ${error.message}`, { cause: error }) : error;
}

/** The result of `read`; a `FormatError` from it is thrown again with `attempt` ahead of its message. */
export function during<T>(attempt: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw inContext(attempt, error);
  }
}

/** {@linkcode during} of what waits. */
export async function duringAsync<T>(attempt: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw inContext(attempt, error);
  }
}

/**
 * The result of `decode`, a call into code that is not ours: whatever it throws on bad bytes is a `FormatError` that
 * begins with `problem`.
 */
export function foreign<T>(problem: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new FormatError(`${problem} (${error instanceof Error ? error.message : String(error)})`, { cause: error });
  }
}
