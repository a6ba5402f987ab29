/**
 * What a section of the bench is given, and what it returns.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import type { Peer } from "./peers/peer.ts";
import type { Effort } from "./statistics.ts";
import type { Table } from "./table.ts";

/** Settings that all sections share. */
export interface Context {
  readonly gpu: Gpu;
  /** Systems to compare with; none for sections about this one alone. */
  readonly peers: readonly Peer[];
  readonly effort: Effort;
  /** Batch of each network in the sections that time whole steps, several for some. */
  readonly batches: ReadonlyMap<string, readonly number[]>;
  /** Parameters of the vectors of the flat kernels. */
  readonly parameters: number;
  /** Most examples of a step in the growth against the batch. */
  readonly largestBatch: number;
  /** Says on stderr what comes next. */
  log(line: string): void;
}

/** Measures something. */
export type Section = (context: Context) => Promise<Table[]>;
