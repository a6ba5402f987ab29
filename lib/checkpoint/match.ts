/**
 * A model's tensors against a checkpoint's: which are missing, which are extra, which have another shape.
 *
 * @module
 */

import type { HostTensor, StateDict } from "../tensor.ts";

const MAX_LISTED = 8;
const COUNTER = "num_batches_tracked";

/** A tensor that a model needs. */
export interface RequiredTensor {
  /** The model's name of it. */
  readonly name: string;
  /** Sizes, outermost first, which must be equal. */
  readonly shape: readonly number[];
}

/** What may differ. */
export interface MatchOptions {
  /** Whether a tensor of the checkpoint that the model does not need is no error, by name. */
  readonly ignoreExtra?: (name: string) => boolean;
}

function isCounter(name: string): boolean {
  return name === COUNTER || name.endsWith(`.${COUNTER}`);
}

function list(kind: string, found: readonly string[]): string[] {
  if (found.length === 0) return [];
  const more = found.length > MAX_LISTED ? ` and ${found.length - MAX_LISTED} more` : "";
  return [`${found.length} ${kind} (${found.slice(0, MAX_LISTED).join(", ")}${more})`];
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, axis) => n === b[axis]);
}

/**
 * The tensors that a model needs, by name in the model's order. `num_batches_tracked` is never needed and never extra.
 *
 * Throws one `TypeError` that lists every missing, extra or misshapen tensor, the first eight of each.
 */
export function matchStateDict(
  required: readonly RequiredTensor[],
  found: StateDict,
  options: MatchOptions = {},
): Map<string, HostTensor> {
  const needed = required.filter(({ name }) => !isCounter(name));
  const names = new Set(needed.map(({ name }) => name));
  const missing = needed.filter(({ name }) => !found.has(name)).map(({ name }) => name);
  const extra = [...found.keys()].filter((name) =>
    !names.has(name) && !isCounter(name) && options.ignoreExtra?.(name) !== true
  );
  const misshapen = needed.flatMap(({ name, shape }) => {
    const tensor = found.get(name);
    return tensor === undefined || sameShape(tensor.shape, shape)
      ? []
      : [`${name}: [${tensor.shape}] found, [${shape}] required`];
  });
  const problems = [
    ...list("missing", missing),
    ...list("not in the model", extra),
    ...list("of another shape", misshapen),
  ];
  if (problems.length > 0) {
    throw new TypeError(
      `Cannot load the checkpoint into the model: of ${needed.length} tensors required and ${found.size} found, ` +
        problems.join("; "),
    );
  }
  return new Map(needed.map(({ name }) => [name, found.get(name)!]));
}
