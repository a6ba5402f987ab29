/**
 * Flags that were given to no purpose: refused, because whoever gave them expects them to count.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import { type Flag, flagName, type FlagTable, givenFlags } from "./flags.ts";

type Values = Readonly<Record<string, unknown>>;

/** Whether a value asks for nothing that would not happen without it: there is none, or it is the default. */
export function isDefault(flag: Flag, value: unknown): boolean {
  if (value === undefined || value === flag.default) return true;
  // Off is what a switch is without a default, and an empty list what a list is.
  return flag.type === "list" ? (value as readonly string[]).length === 0 : value === false && flag.default !== true;
}

/**
 * Whether a flag asks for something: the command line gives it, be it with its default. Of a record that no command line
 * made, it does where it is not at its default.
 */
export function isAsked(table: FlagTable, values: Values, name: string): boolean {
  const flag = table[name], value = values[name], given = givenFlags(values);
  if (given === undefined) return !isDefault(flag, value);
  // What a command decides by itself happens nowhere where it is not read, so that to turn it off is no contradiction.
  return given.has(name) && !(flag.type === "boolean" && flag.optional === true && value === false);
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
 * @throws UsageError that names the first of them that asks for something
 */
export function refuseUnread(table: FlagTable, values: Values, names: readonly string[], why: string): void {
  const given = names.find((name) => isAsked(table, values, name));
  if (given !== undefined) throw new UsageError(`Cannot use ${spelt(given, values[given])} ${why}`);
}
