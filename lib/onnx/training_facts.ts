/**
 * What of a file trains, or does not, otherwise than its names make one expect.
 *
 * @module
 */

import { isMadeUp } from "../checkpoint/onnx_tensor.ts";
import type { HostTensor } from "../tensor.ts";
import { COPIES, producersOf, sourceOf } from "./head.ts";
import type { OnnxModel, OnnxNode } from "./model.ts";
import { planParameters, usesOf } from "./parameters.ts";

/** Operators of which every input is data; of others the first is, and what follows are settings. */
const ALL_DATA: ReadonlySet<string> = new Set(["Max", "Min"]);
/** Operators that read numbers or sizes only. */
const NO_DATA: ReadonlySet<string> = new Set(["ConstantOfShape", "Range", "Shape", "Size"]);

function readsAsData({ operator }: OnnxNode, input: number): boolean {
  if (NO_DATA.has(operator) || COPIES.has(operator)) return false;
  return input === 0 || ALL_DATA.has(operator);
}

/**
 * Weights by name that the importer takes for constants, as only functions of one tensor read them: Swin v2's scale of the
 * logits, say, of which an exponential is taken.
 */
export function frozenWeights(model: OnnxModel): string[] {
  const uses = usesOf(model), producer = producersOf(model);
  const read = new Set(
    model.nodes.flatMap((node) =>
      node.inputs.flatMap((value, input) =>
        readsAsData(node, input) ? sourceOf(value, model, producer)?.initialiser ?? [] : []
      )
    ),
  );
  return [...model.initialisers.keys()].filter((name) =>
    uses.get(name) === "constant" && !isMadeUp(name) && read.has(name)
  );
}

/** Operators that keep images what they are. */
const ON_IMAGES: ReadonlySet<string> = new Set(["Add", "Cast", "Div", "Identity", "Mul", "Sub"]);

/** Tensors by name that train, though they scale or shift the images themselves: the buffers of a normalising layer. */
export function imageOperands(model: OnnxModel): string[] {
  const weights = new Set(planParameters(model).map(({ name }) => name)), producer = producersOf(model);
  const images = new Set([model.input.name]), found = new Set<string>();
  // Sorted, so that what is made of the images is known when it is read.
  for (const { operator, inputs, outputs } of model.nodes) {
    if (!ON_IMAGES.has(operator) || !inputs.some((input) => images.has(input))) continue;
    outputs.forEach((output) => images.add(output));
    for (const input of inputs) {
      const name = sourceOf(input, model, producer)?.initialiser;
      if (name !== undefined && weights.has(name)) found.add(name);
    }
  }
  return [...found];
}

/** Whether all elements are the same number, as those of a fresh normalisation are. */
function isUniform({ data }: HostTensor): boolean {
  const [first] = data;
  return data.every((value: number | bigint) => value === first);
}

/**
 * Weights that the file holds once, under two names or more, and that train apart. Equal tensors of one number are left
 * out: fresh normalisations are stored once as well.
 */
export function separatedWeights(model: OnnxModel): string[] {
  const names = new Map<HostTensor, string[]>();
  for (const { name } of planParameters(model)) {
    // Copies are the same object: see the reader.
    const tensor = model.initialisers.get(name)!;
    names.set(tensor, [...names.get(tensor) ?? [], name]);
  }
  return [...names].filter(([tensor, list]) => list.length > 1 && !isUniform(tensor)).flatMap(([, list]) => list);
}
