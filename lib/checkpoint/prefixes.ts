/**
 * The names that wrappers put before a network's own: `module.` of DataParallel, `backbone.` of Lightning, ...
 *
 * @module
 */

import type { StateDict } from "../tensor.ts";

/** Prefixes that are taken off, in this order. */
export const PREFIXES: readonly string[] = ["module.", "backbone.", "encoder.", "base_model."];

/** `prefix` off every other name that has it, or `names` as they are where two would then be the same or one empty. */
function strip(names: readonly string[], prefix: string, own: ReadonlySet<string>): readonly string[] {
  const stripped = names.map((name) => name.startsWith(prefix) && !own.has(name) ? name.slice(prefix.length) : name);
  return new Set(stripped).size === names.length && !stripped.includes("") ? stripped : names;
}

/**
 * The same tensors under their names without wrappers' prefixes.
 *
 * The rule: each prefix is taken off the names that have it, whether all have it or some, again and again until nothing
 * changes; a prefix stays where two tensors would otherwise get the same name.
 *
 * @param own names that are whole, whatever they begin with: those of a network some of which begin with `encoder.`
 */
export function stripPrefixes(found: StateDict, own: ReadonlySet<string> = new Set()): StateDict {
  let names: readonly string[] = [...found.keys()];
  for (let changed = true; changed;) {
    const before = names;
    for (const prefix of PREFIXES) names = strip(names, prefix, own);
    changed = before !== names && before.some((name, i) => name !== names[i]);
  }
  return new Map([...found.values()].map((tensor, i) => [names[i], tensor]));
}
