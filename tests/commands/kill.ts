/** Kills commands in the middle of their work. */

import { assertEquals } from "@std/assert";
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
export async function killAt(args: readonly string[], moment: (ended: () => boolean) => Promise<void>): Promise<Kill> {
  const child = cliCommand(args, { permissions: "--allow-read --allow-write" }).spawn();
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
