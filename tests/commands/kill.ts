/** Kills commands in the middle of their work. */

import { assert, assertEquals } from "@std/assert";
import { cliCommand } from "../cli/run_cli.ts";

/** Waits. */
export const pause = (ms: number): Promise<void> => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** When a file was last written, in milliseconds; 0 where there is none. */
export const modified = (path: string): Promise<number> =>
  Deno.stat(path).then(({ mtime }) => mtime?.getTime() ?? 0, () => 0);

/** Whether there is such a file. */
export const exists = (path: string): Promise<boolean> => Deno.stat(path).then(() => true, () => false);

/** What killing one process came to. */
export interface Kill {
  /** False where the process ended by itself before. */
  readonly landed: boolean;
  /** Milliseconds after its start. */
  readonly after: number;
}

/** Starts a command, waits for `moment` and kills it as `kill -9` does. */
export async function killAt(
  args: readonly string[],
  moment: (ended: () => boolean) => Promise<void>,
  permissions = "--allow-read --allow-write",
): Promise<Kill> {
  const child = cliCommand(args, { permissions }).spawn();
  const start = performance.now();
  let ended = false;
  const status = child.status.then((value) => {
    ended = true;
    return value;
  });
  const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  await moment(() => ended);
  const after = performance.now() - start;
  if (!ended) child.kill("SIGKILL");
  const { signal, code } = await status;
  const [, stderr] = await output;
  if (signal === "SIGKILL") return { landed: true, after };
  assertEquals(code, 0, stderr);
  return { landed: false, after };
}

/** A prior that is killed again and again while it is learned. */
export interface KilledPrior {
  /** The command that begins it, with `--out`. */
  readonly begin: readonly string[];
  readonly out: string;
  /** The same prior, of a run that nobody stopped. */
  readonly whole: string;
  readonly kills: number;
  /** Waits for a kill's moment, by its number; absent or `undefined`: shortly behind the next checkpoint. */
  moment?(kill: number): Promise<void> | undefined;
}

/**
 * Kills `prior` until that many kills have landed, going on with `--resume` in between; whatever it finishes meanwhile
 * must be `whole`.
 *
 * @returns the command that goes on from the last kill
 */
export async function killPrior({ begin, out, whole, kills, moment }: KilledPrior): Promise<readonly string[]> {
  const checkpoint = `${out}.checkpoint`;
  const next = async () => await exists(checkpoint) ? ["prior", "--resume", "--out", out] : begin;
  let done = 0, resumed = 0;
  while (done < kills) {
    const before = await modified(checkpoint);
    if (before > 0) resumed++;
    const { landed } = await killAt([...await next(), "--quiet"], async (ended) => {
      const other = moment?.(done);
      if (other !== undefined) return await other;
      while (!ended() && await modified(checkpoint) === before) await pause(1);
      await pause(Math.random() * 20);
    });
    if (landed) done++;
    if (!await exists(out)) continue;
    assertEquals(await Deno.readFile(out), await Deno.readFile(whole));
    await Deno.remove(out);
  }
  assert(resumed > 0, "no kill fell behind a checkpoint");
  return await next();
}
