/**
 * Flags that were given to no purpose: refused, because whoever gave them expects them to count.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import { type Flag, flagName, type FlagTable } from "./flags.ts";

type Values = Readonly<Record<string, unknown>>;

/** Whether a value asks for nothing that would not happen without it: there is none, or it is the default. */
export function isDefault(flag: Flag, value: unknown): boolean {
  if (value === undefined || value === flag.default) return true;
  // Off is what a switch is without a default, and an empty list what a list is.
  return flag.type === "list" ? (value as readonly string[]).length === 0 : value === false && flag.default !== true;
}

/** A flag as the command line spells it where it has this value. */
export function spelt(name: string, value: unknown): string {
  return value === false ? `--no-${flagName(name)}` : `--${flagName(name)}`;
}

/**
 * Refuses flags that a command would not read.
 *
 * @param names those that it would not read
 * @param why goes on from `Cannot use --flag`
 * @throws UsageError that names the first of them that is not at its default
 */
export function refuseUnread(table: FlagTable, values: Values, names: readonly string[], why: string): void {
  const given = names.find((name) => !isDefault(table[name], values[name]));
  if (given !== undefined) throw new UsageError(`Cannot use ${spelt(given, values[given])} ${why}`);
}
