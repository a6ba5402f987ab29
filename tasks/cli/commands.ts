/**
 * Every command by name, loaded when it is asked for.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import { type Command, type FlagTable, type FlagValues, nearest } from "./flags.ts";
import type { Io } from "./output.ts";

/** A module of `tasks/commands/`. */
export interface CommandModule<F extends FlagTable = FlagTable> {
  readonly command: Command<F>;
  /** Carries the command out; resolves to the exit code. */
  run(flags: FlagValues<F>, io: Io): Promise<number>;
}

type Load = () => Promise<CommandModule>;

/** A module whose flags have any types: {@linkcode CommandModule.run} gets what its own table yields. */
function loader<F extends FlagTable>(load: () => Promise<CommandModule<F>>): Load {
  return load as unknown as Load;
}

const COMMANDS: Readonly<Record<string, Load>> = {
  prior: loader(() => import("../commands/prior.ts")),
  infer: loader(() => import("../commands/infer.ts")),
  evaluate: loader(() => import("../commands/evaluate.ts")),
  data: loader(() => import("../commands/data.ts")),
  convert: loader(() => import("../commands/convert.ts")),
  inspect: loader(() => import("../commands/inspect.ts")),
  doctor: loader(() => import("../commands/doctor.ts")),
};

const JOBS: Readonly<Record<string, string>> = {
  "prior": "prior",
  "prior_ssl": "prior",
  "supervised_bayesian_learning": "infer",
};

/** Loads all commands, in the order in which help lists them. */
export function loadCommands(): Promise<CommandModule[]> {
  return Promise.all(Object.values(COMMANDS).map((load) => load()));
}

/**
 * Loads a command by name.
 *
 * @throws {UsageError} naming the nearest one if there is none of that name
 */
export function loadCommand(name: string): Promise<CommandModule> {
  if (!Object.hasOwn(COMMANDS, name)) {
    const names = Object.keys(COMMANDS), known = nearest(name, names);
    throw new UsageError(
      `Cannot run "${name}": there is no such command among ${names.join(", ")}; the nearest is ${known}`,
    );
  }
  return COMMANDS[name]();
}

/**
 * Splits arguments into the command's name and the rest. `--job=prior_SSL` stands for a name, as in the original
 * system.
 *
 * @throws {UsageError} for an unknown job
 */
export function splitArguments(args: readonly string[]): { name: string | undefined; rest: string[] } {
  const at = args.findIndex((arg) => arg === "--job" || arg.startsWith("--job="));
  if (at < 0) {
    const [name, ...rest] = args;
    return name === undefined || name.startsWith("-") ? { name: undefined, rest: [...args] } : { name, rest };
  }
  const inline = args[at].startsWith("--job=");
  const job = inline ? args[at].slice("--job=".length) : args[at + 1] ?? "";
  const name = JOBS[job.toLowerCase().replaceAll("-", "_")];
  if (name === undefined) {
    throw new UsageError(
      `Cannot run --job=${job}: prior, prior_SSL or supervised_bayesian_learning is required`,
    );
  }
  return { name, rest: args.toSpliced(at, inline ? 1 : 2) };
}
