/**
 * Runs the command line as its users do: a process of its own, with the permissions that its help states.
 *
 * @module
 */

import { assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";

/** Path of the command line. */
export const CLI: string = fromFileUrl(new URL("../../cli.ts", import.meta.url));

/** Environment in which Deno finds no adapter, whatever drivers the machine has. */
export const NO_ADAPTER: Readonly<Record<string, string>> = { "DENO_WEBGPU_BACKEND": "noop" };

/** What a process left. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run it. */
export interface CliOptions {
  /** Permissions of the process, as in a command's table. */
  readonly permissions: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The process, not yet started, all of its streams piped. */
export function cliCommand(args: readonly string[], { permissions, env }: CliOptions): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...permissions.split(" ").filter((part) => part !== ""), CLI, ...args],
    env: { "NO_COLOR": "1", "NODEVICE_SELECT": "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a command line to its end. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  const { code, stdout, stderr } = await cliCommand(args, options).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Asserts that a command line was refused: its exit code, one line on stderr that matches, no stack, nothing on stdout. */
export function assertRefused({ code, stdout, stderr }: CliResult, exitCode: number, message: RegExp): void {
  assertMatch(stderr, message);
  assertNotMatch(stderr, /\n\s+at |Uncaught/);
  assertEquals(stderr.trimEnd().split("\n").length, 1, `stderr has one line: ${stderr}`);
  assertEquals(stdout, "");
  assertEquals(code, exitCode);
}

/** Runs `fn` with a folder of its own, removed afterwards. */
export async function withFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "swagpu-test-" });
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Names in a folder, sorted. */
export function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}
