/**
 * Which flags a run or a prior is written down with, and which of them `--resume` takes from the command line.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import type { FlagTable } from "../cli/flags.ts";
import { isAsked, spelt } from "../cli/unread_flags.ts";

type Flags = Readonly<Record<string, unknown>>;

/** How a command reports and where it writes. They change nothing that it computes; `--resume` takes them anew. */
const FREE_FLAGS: ReadonlySet<string> = new Set([
  "out",
  "json",
  "quiet",
  "resume",
  "force",
  "dryRun",
  "profile",
  "autotune",
  "tuningCache",
  "tuningSeconds",
  "cacheDir",
  "cacheSize",
]);

/** The flags that a command is gone on with. */
export function settingsOf(flags: Flags): Record<string, unknown> {
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !FREE_FLAGS.has(name)));
}

/**
 * Where things lie that are the same wherever they lie: what `--resume` goes on with is told by its hash, so that a
 * file that was moved may be named anew.
 */
const PLACES: ReadonlySet<string> = new Set(["onnx", "weightsPath", "priorPath", "dataDir"]);

/**
 * The flags that were written down, with how to report and where things lie now from the command line.
 *
 * @param table of the command
 * @throws UsageError where another flag is given and says something else
 */
export function resumedFlags<Given extends Flags>(table: FlagTable, given: Given, recorded: Flags): Given {
  const taken: Record<string, unknown> = { operands: given.operands };
  for (const name of Object.keys(table)) {
    const value = given[name], known = recorded[name];
    if (FREE_FLAGS.has(name)) taken[name] = value;
    else if (!isAsked(table, given, name) || value === known) continue;
    // The schedule that was used is recorded, and "auto" is to use that.
    else if (name === "kernelSchedule" && value === "auto") continue;
    else if (PLACES.has(name) && known !== undefined) taken[name] = value;
    else throw new UsageError(`Cannot use ${spelt(name, value)} with --resume: ${wentOnWith(name, known)}`);
  }
  return { ...recorded, ...taken } as unknown as Given;
}

function wentOnWith(name: string, known: unknown): string {
  const began = known === undefined ? "without it" : `with ${typeof known === "boolean" ? spelt(name, known) : known}`;
  return `what goes on began ${began}, and its own settings are required`;
}
