/**
 * Time from the start of a process to the end of its first training step.
 *
 * @module
 */

import { runScript } from "./process.ts";
import type { Context } from "./section.ts";
import { spreadOf } from "./statistics.ts";
import { sizeOf } from "./steps.ts";
import type { Cell, Table } from "./table.ts";

const NETWORKS = ["resnet20", "resnet50"];

/** Milliseconds of one process. */
interface Start {
  /** From the process's start to its exit. */
  readonly total: number;
  /** Opening the device, building the session, and the step. */
  readonly device: number;
  readonly build: number;
  readonly step: number;
}

async function startOnce(encoder: string, batch: number): Promise<Start> {
  const start = performance.now();
  const parts = await runScript<Omit<Start, "total">>("first_step.ts", [encoder, batch, sizeOf(encoder)]);
  return { total: performance.now() - start, ...parts };
}

/** The section. */
export async function start({ batches, effort, log }: Context): Promise<Table[]> {
  const rows: Cell[][] = [];
  for (const encoder of NETWORKS) {
    const batch = batches.get(encoder)?.[0];
    if (batch === undefined) continue;
    log(`start: ${encoder}, batch ${batch}`);
    await startOnce(encoder, batch);
    const starts: Start[] = [];
    for (let round = 0; round < effort.rounds; round++) starts.push(await startOnce(encoder, batch));
    const of = (part: keyof Start) => spreadOf(starts.map((times) => times[part]));
    rows.push([encoder, batch, of("total"), of("device"), of("build"), of("step")]);
  }
  return [{
    title: "Time to the first step",
    note:
      "Milliseconds, caches warm: a process of its own, from its start to its exit after one training step; then of " +
      "this: making the problem and opening the device, building and uploading the session, the step with its read-back.",
    columns: ["network", "batch", "process", "device", "session", "first step"],
    rows,
  }];
}
