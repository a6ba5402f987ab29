/**
 * Measurements that need a process of their own.
 *
 * @module
 */

/** What a script of this folder prints, as JSON, when it is run with these arguments. */
export async function runScript<Result>(script: string, args: readonly (string | number)[]): Promise<Result> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL(script, import.meta.url).pathname, ...args.map(String)],
  }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`Cannot measure ${script} ${args.join(" ")}: ${text.decode(stderr).trim()}`);
  return JSON.parse(text.decode(stdout));
}
