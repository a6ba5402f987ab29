/**
 * Commands as tables of flags, and the parser that turns arguments into a typed record.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { UsageError } from "../../lib/errors.ts";
import { parseValue } from "./flag_values.ts";
import { closestString } from "./deps.ts";

/** What every flag states. */
interface FlagBase {
  /** What it does, one line without a full stop. */
  readonly help: string;
  /** Heading in `--help` under which it stands. */
  readonly group: string;
  /** The command line must give it. */
  readonly required?: boolean;
}

/** A text, as a path or a name. */
export interface StringFlag extends FlagBase {
  readonly type: "string";
  readonly default?: string;
  /** Stands for the value in `--help`; default `TEXT`. */
  readonly value?: string;
}

/** A number; `integer` takes whole ones only. */
export interface NumberFlag extends FlagBase {
  readonly type: "integer" | "number";
  readonly default?: number;
  /** Smallest value that is taken. */
  readonly min?: number;
  /** Largest value that is taken. */
  readonly max?: number;
}

/** On or off: `--name`, `--no-name`, `--name=true`, `--name=false`; off unless `default` says otherwise. */
export interface BooleanFlag extends FlagBase {
  readonly type: "boolean";
  readonly default?: boolean;
  /** Neither on nor off unless given: the command decides. */
  readonly optional?: true;
}

/** One of a few words. */
export interface ChoiceFlag extends FlagBase {
  readonly type: "choice";
  readonly choices: readonly string[];
  readonly default?: string;
}

/** Texts, separated by commas or given by repeating the flag; none by default. */
export interface ListFlag extends FlagBase {
  readonly type: "list";
  readonly default?: readonly string[];
  /** Stands for one value in `--help`; default `TEXT`. */
  readonly value?: string;
}

/** One flag of a command. */
export type Flag = StringFlag | NumberFlag | BooleanFlag | ChoiceFlag | ListFlag;

/** Flags by camelCase name: `priorScale` is `--prior-scale` or `--prior_scale`. */
export type FlagTable = Readonly<Record<string, Flag>>;

/** Arguments without a flag, as the files that `inspect` takes. */
export interface Operands {
  /** Stands for one in the usage line. */
  readonly name: string;
  readonly help: string;
  /** Fewest that are taken; default 0. */
  readonly min?: number;
  /** Most that are taken; any number by default. */
  readonly max?: number;
}

/** A command: what `--help` prints and what {@linkcode parseFlags} takes. */
export interface Command<F extends FlagTable = FlagTable> {
  readonly name: string;
  /** What it does, one line without a full stop. */
  readonly summary: string;
  /** The flags of `deno run` under which all of it works. */
  readonly permissions: string;
  readonly flags: F;
  readonly operands?: Operands;
  /** Whole command lines without the `deno run ... cli.ts`. */
  readonly examples?: readonly string[];
}

type Plain<F extends Flag> = F extends { type: "choice"; choices: readonly (infer C)[] } ? C
  : F extends { type: "string" } ? string
  : F extends { type: "boolean" } ? boolean
  : F extends { type: "list" } ? readonly string[]
  : number;

/** The type of a flag's value: `undefined` only where it is neither required nor has a default. */
export type FlagValue<F extends Flag> = F extends { optional: true } ? Plain<F> | undefined
  : F extends { type: "boolean" } | { type: "list" } | { required: true } | { default: string | number } ? Plain<F>
  : Plain<F> | undefined;

/** The values of a command's flags, and its operands. */
export type FlagValues<F extends FlagTable> =
  & { readonly [K in keyof F]: FlagValue<F[K]> }
  & { readonly operands: readonly string[] };

/** The record that {@linkcode parseFlags} returns for a command: `FlagsOf<typeof command>`. */
export type FlagsOf<C> = C extends Command<infer F> ? FlagValues<F> : never;

/** A command from its table; its literal types are kept, so that the values of its flags are typed. */
export function defineCommand<const F extends FlagTable>(command: Command<F>): Command<F> {
  return command;
}

/** `priorScale` as the command line spells it: `prior-scale`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The member of `names` that is spelt most like `name`. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  return closestString(name, [...names]);
}

/** Which flags the arguments gave, by the record of values that was made of them. */
const GIVEN = new WeakMap<object, ReadonlySet<string>>();

/**
 * The flags that the command line gave, whatever their values; `undefined` for a record that {@linkcode parseFlags} did
 * not return, as a copy or what a run was recorded with.
 */
export function givenFlags(values: object): ReadonlySet<string> | undefined {
  return GIVEN.get(values);
}

/**
 * Reads arguments as a command's flags. Where a flag is given twice the last one counts; a list takes them all.
 *
 * @throws {UsageError} for an unknown flag (naming the nearest), a value of the wrong type or outside its range, a
 *   missing value, a missing required flag, or a wrong number of operands
 */
export function parseFlags<F extends FlagTable>(command: Command<F>, argv: readonly string[]): FlagValues<F> {
  const keys = new Map(Object.keys(command.flags).map((key) => [flagName(key), key]));
  const given = new Map<string, string[]>();
  const operands: string[] = [];
  for (const token of tokensOf(command.flags, argv)) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const { key, text } = readOption(command.flags, keys, token);
    given.set(key, [...given.get(key) ?? [], text]);
  }
  requireOperands(command, operands);
  const values: Record<string, unknown> = { operands };
  for (const [key, flag] of Object.entries(command.flags)) values[key] = valueOf(flagName(key), flag, given.get(key));
  GIVEN.set(values, new Set(given.keys()));
  return values as FlagValues<F>;
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string;
  readonly inlineValue?: boolean;
}

function tokensOf(flags: FlagTable, argv: readonly string[]) {
  const end = argv.indexOf("--");
  const args = argv.map((arg, i) => end >= 0 && i > end ? arg : dashed(arg));
  const options = Object.fromEntries(
    Object.entries(flags).map((
      [key, flag],
    ) => [flagName(key), { type: flag.type === "boolean" ? "boolean" as const : "string" as const }]),
  );
  return parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

/** `--prior_scale=a_b` as `--prior-scale=a_b`. */
function dashed(arg: string): string {
  return arg.replace(/^--[^=]+/, (name) => name.replaceAll("_", "-"));
}

function readOption(
  flags: FlagTable,
  keys: ReadonlyMap<string, string>,
  { name, rawName, value, inlineValue }: OptionToken,
): { key: string; text: string } {
  const key = keys.get(name);
  if (key === undefined) {
    const positive = name.startsWith("no-") ? keys.get(name.slice("no-".length)) : undefined;
    if (positive !== undefined && flags[positive].type === "boolean" && value === undefined) {
      return { key: positive, text: "false" };
    }
    const known = nearest(name, [...keys.keys()]);
    const hint = known === undefined ? "the command takes no flags" : `the nearest is --${known}`;
    throw new UsageError(`Cannot use ${rawName}: there is no such flag; ${hint}`);
  }
  if (flags[key].type === "boolean") return { key, text: value ?? "true" };
  if (value === undefined || value === "" || (inlineValue === false && value.startsWith("--"))) {
    const found = value ? `found the flag ${value}` : "found none";
    throw new UsageError(`Cannot use ${rawName} without a value: ${found}, ${requirement(flags[key])} is required`);
  }
  return { key, text: value };
}

/** What a flag's value must be, for a message. */
function requirement(flag: Flag): string {
  if (flag.type === "choice") return `one of ${flag.choices.join(", ")}`;
  return { string: "a text", list: "a text", integer: "a whole number", number: "a number", boolean: "true or false" }[
    flag.type
  ];
}

function valueOf(name: string, flag: Flag, texts: readonly string[] | undefined): unknown {
  if (texts === undefined) {
    if (flag.required) throw new UsageError(`Cannot run without --${name}: it is required (${flag.help})`);
    if (flag.type === "boolean") return flag.optional ? undefined : flag.default ?? false;
    return flag.default ?? (flag.type === "list" ? [] : undefined);
  }
  if (flag.type === "list") return texts.flatMap((text) => text.split(",")).filter((text) => text !== "");
  return parseValue(name, flag, texts[texts.length - 1]);
}

function requireOperands({ name, operands }: Command, found: readonly string[]): void {
  if (operands === undefined) {
    if (found.length > 0) {
      throw new UsageError(`Cannot use "${found[0]}": ${name} takes flags only, each beginning with --`);
    }
    return;
  }
  const { min = 0, max = Infinity } = operands;
  if (found.length >= min && found.length <= max) return;
  const most = max === Infinity ? "or more" : max === min ? "exactly" : `to ${max}`;
  throw new UsageError(`Cannot run with ${found.length} ${operands.name}: ${name} takes ${min} ${most}`);
}
