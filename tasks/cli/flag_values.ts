/**
 * A flag's text as the value of its type.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import type { ChoiceFlag, Flag, NumberFlag } from "./flags.ts";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * The value that a text stands for.
 *
 * @throws {UsageError} if the text is not of the flag's type or lies outside its range
 */
export function parseValue(name: string, flag: Flag, text: string): string | number | boolean {
  switch (flag.type) {
    case "integer":
    case "number":
      return parseNumber(name, flag, text);
    case "boolean":
      return parseBoolean(name, text);
    case "choice":
      return parseChoice(name, flag, text);
    default:
      return text;
  }
}

function parseNumber(name: string, { type, min = -Infinity, max = Infinity }: NumberFlag, text: string): number {
  const value = NUMBER.test(text) ? Number(text) : NaN;
  const integer = type === "integer";
  if (!(integer ? Number.isSafeInteger(value) : Number.isFinite(value)) || value < min || value > max) {
    throw wrong(name, text, (integer ? "a whole number" : "a number") + range(min, max));
  }
  return value;
}

/** The range of a number in words: ` from 0 to 1`; empty where there is none. */
export function range(min: number, max: number): string {
  if (min === -Infinity && max === Infinity) return "";
  if (max === Infinity) return ` of ${min} or more`;
  return min === -Infinity ? ` of ${max} or less` : ` from ${min} to ${max}`;
}

function parseBoolean(name: string, text: string): boolean {
  const lower = text.toLowerCase();
  if (lower === "true" || lower === "1") return true;
  if (lower === "false" || lower === "0") return false;
  throw wrong(name, text, "true or false");
}

/** Choices ignore case and take `_` for `-`, as flag names do. */
function parseChoice(name: string, { choices }: ChoiceFlag, text: string): string {
  const plain = (word: string) => word.toLowerCase().replaceAll("-", "_");
  const choice = choices.find((word) => plain(word) === plain(text));
  if (choice === undefined) throw wrong(name, text, `one of ${choices.join(", ")}`);
  return choice;
}

function wrong(name: string, found: string, required: string): UsageError {
  return new UsageError(`Cannot use --${name}=${found}: found "${found}", ${required} is required`);
}
