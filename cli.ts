/**
 * The command line: arguments to one command, its exit code, and what went wrong in one line.
 *
 * @module
 */

import config from "./deno.json" with { type: "json" };
import { UsageError } from "./lib/errors.ts";
import { loadCommand, loadCommands, splitArguments } from "./tasks/cli/commands.ts";
import { removeUnfinished } from "./tasks/cli/files.ts";
import { parseFlags } from "./tasks/cli/flags.ts";
import { commandHelp, globalHelp } from "./tasks/cli/help.ts";
import { createIo, processSink } from "./tasks/cli/output.ts";

const stdout = processSink(Deno.stdout);
const stderr = processSink(Deno.stderr);

/** Carries out one command line; resolves to the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const { name, rest } = splitArguments(args);
  const help = rest.some((arg) => arg === "--help" || arg === "-h");
  if (name === undefined) {
    if (rest.includes("--version")) {
      stdout.write(`swagpu ${config.version}\n`);
      return 0;
    }
    if (!help && rest.length > 0) throw new UsageError(`Cannot use ${rest[0]}: a command is required before flags`);
    const page = globalHelp(config.version, (await loadCommands()).map(({ command }) => command));
    (help ? stdout : stderr).write(page);
    return help ? 0 : 2;
  }
  const { command, run } = await loadCommand(name);
  if (help) {
    stdout.write(commandHelp(command));
    return 0;
  }
  const flags = parseFlags(command, rest);
  return await run(flags, createIo(stdout, stderr, { json: flags.json === true, quiet: flags.quiet === true }));
}

/** Says in one line what went wrong; resolves to the exit code. */
function explain(error: unknown, args: readonly string[], debug: boolean): number {
  const command = args.find((arg) => !arg.startsWith("-"));
  const stated = error instanceof Error ? error.message : String(error);
  const message = error instanceof Deno.errors.NotCapable ? `Cannot go on: ${stated}` : stated;
  const name = ["swagpu", ...command === undefined ? [] : [command]].join(" ");
  stderr.write(`${name}: ${message.trim().replace(/\s*\n\s*/g, "; ")}\n`);
  if (debug && error instanceof Error) stderr.write(`${error.stack}\n`);
  return error instanceof UsageError ? 2 : 1;
}

/** Signals that end a command, with what it says and its exit code: 128 and the signal's number, as of a shell. */
const SIGNALS = {
  SIGINT: { what: "interrupted", code: 130 },
  SIGTERM: { what: "terminated", code: 143 },
} as const;

if (import.meta.main) {
  const debug = Deno.args.includes("--debug");
  const args = Deno.args.filter((arg) => arg !== "--debug");
  for (const [signal, { what, code }] of Object.entries(SIGNALS)) {
    // Windows has no SIGTERM to listen for.
    if (signal === "SIGTERM" && Deno.build.os === "windows") continue;
    Deno.addSignalListener(signal as keyof typeof SIGNALS, () => {
      removeUnfinished();
      stderr.write(`\nswagpu: ${what}\n`);
      Deno.exit(code);
    });
  }
  // Exiting at once closes what a failed command left open, as a device; all output is written synchronously.
  Deno.exit(await main(args).catch((error) => explain(error, args, debug)));
}
