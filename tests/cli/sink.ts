/**
 * Something to write to that remembers.
 *
 * @module
 */

import type { Sink } from "../../tasks/cli/output.ts";

/** A sink and what was written to it. */
export interface RecordingSink extends Sink {
  /** All texts so far, joined. */
  text(): string;
}

/** A sink in memory: a terminal of that many columns, or none. */
export function recordingSink(columns?: number): RecordingSink {
  let written = "";
  return { write: (text) => void (written += text), columns: () => columns, text: () => written };
}
