/**
 * Names in torchvision's published checkpoints that are not those of its networks today.
 *
 * @module
 */

import type { StateDict } from "../tensor.ts";

/** What names once were, and what they became. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  // DenseNet's layers had dots in their names.
  [/(\.denselayer\d+\.(?:norm|conv))\.([12]\.)/, "$1$2"],
  // Vision transformers named their two linear layers.
  [/\.mlp\.linear_1\./, ".mlp.0."],
  [/\.mlp\.linear_2\./, ".mlp.3."],
];

/** Tensors that networks do without: auxiliary classifiers of Inception and GoogLeNet, tables that Swin works out. */
const LEFT_OUT = /^(AuxLogits|aux[12])\.|\.relative_position_index$/;

/** Whether a network may do without a tensor of its checkpoint. */
export function isLeftOut(name: string): boolean {
  return LEFT_OUT.test(name);
}

/** The same tensors under the names that a network has them by, where those differ from what they were published under. */
export function underPresentNames(names: ReadonlySet<string>, found: StateDict): StateDict {
  return new Map([...found].map(([name, tensor]) => {
    const renamed = RENAMED.reduce((old, [pattern, present]) => old.replace(pattern, present), name);
    return [!names.has(name) && names.has(renamed) ? renamed : name, tensor];
  }));
}
