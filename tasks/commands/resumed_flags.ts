/**
 * Which flags a run or a prior is written down with, and which of them `--resume` takes from the command line.
 *
 * @module
 */

type Flags = Readonly<Record<string, unknown>>;

/** How a command reports and where it writes. They change nothing that it computes; `--resume` takes them anew. */
const FREE_FLAGS: ReadonlySet<string> = new Set([
  "out",
  "json",
  "quiet",
  "resume",
  "force",
  "dryRun",
  "profile",
  "autotune",
  "tuningCache",
  "tuningSeconds",
]);

/** The flags that a command is gone on with. */
export function settingsOf(flags: Flags): Record<string, unknown> {
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !FREE_FLAGS.has(name)));
}

/** The flags written down, with how to report, and where an imported network's file lies now, from the command line. */
export function resumedFlags<Given extends Flags>(given: Given, recorded: Flags): Given {
  const free = Object.fromEntries(Object.entries(given).filter(([name]) => FREE_FLAGS.has(name)));
  const onnx = recorded.onnx === undefined ? undefined : given.onnx ?? recorded.onnx;
  return { ...recorded, ...free, operands: given.operands, onnx } as unknown as Given;
}
