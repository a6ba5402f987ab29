/**
 * A classifier's weights on the host, and their way from and to checkpoints.
 *
 * @module
 */

import { matchStateDict } from "../checkpoint/state_dict.ts";
import type { VectorLayout } from "../graph/vector.ts";
import { PhiloxSequence, Stream } from "../random/philox.ts";
import { copyFloats, float32Tensor, type HostTensor, sizeOf, type StateDict } from "../tensor.ts";
import type { ModelLayouts } from "./device_model.ts";
import { isLeftOut, underPresentNames } from "./published_names.ts";
import { byInputs, constant, draw, heOut, type Initial } from "./initial.ts";

/** Flat vectors in PyTorch's order and layout. */
export interface Weights {
  /** [P] */
  readonly backbone: Float32Array;
  /** [numClasses * features + numClasses]: weight, then bias. */
  readonly head: Float32Array;
  /** Running means and variances of BatchNorm. */
  readonly state: Float32Array;
}

/**
 * Fresh weights, as torchvision initialises: what the network's architecture states, else He et al. (fan out) for
 * convolutions and BatchNorm at identity; the head uniform within 1 / sqrt(inputs).
 */
export function initialWeights(layouts: ModelLayouts, seed: number): Weights {
  const of = (part: keyof Weights) => initialPart(layouts, part, seed);
  return { backbone: of("backbone"), head: of("head"), state: of("state") };
}

/** Which part of the random stream a vector has. */
const PARTS: Readonly<Record<keyof Weights, number>> = { backbone: 0, head: 1, state: 2 };

/** One vector of {@linkcode initialWeights}, without drawing the others. */
export function initialPart(layouts: ModelLayouts, part: keyof Weights, seed: number): Float32Array {
  const { entries, count } = layouts[part], byHead = byInputs(fanInOf(layouts.head));
  const values = new Float32Array(count);
  entries.forEach((entry, index) => {
    const { name, torchOffset, size } = entry;
    const random = new PhiloxSequence(seed, Stream.init, PARTS[part], index);
    const initial = part === "head" ? byHead : layouts.initial.get(name) ?? usual(entry);
    draw(initial, random, values.subarray(torchOffset, torchOffset + size));
  });
  return values;
}

/** Inputs of a vector's linear layer: [O, I], or [I, O] where an imported file has it so; [O, I, 1, 1] of a convolution. */
function fanInOf({ entries }: VectorLayout): number {
  const matrix = entries.find(({ torchShape }) => torchShape.length >= 2);
  return matrix?.torchShape[matrix.layout === "vector" ? 0 : 1] ?? 1;
}

/** What a tensor is drawn from where nothing states it. */
function usual({ name, layout, torchShape }: VectorLayout["entries"][number]): Initial {
  if (layout === "convolution") return heOut(torchShape);
  if (layout === "linear") return byInputs(torchShape[1]);
  return constant(name.endsWith(".weight") || name.endsWith(".running_var") ? 1 : 0);
}

/** How a checkpoint's head is used. */
export interface LoadOptions {
  /** `require` the head, or take a `fresh` one where the checkpoint has none or one of another shape. */
  readonly head: "require" | "fresh";
  /** Seed of a fresh head. */
  readonly seed: number;
}

/** Names under which checkpoints hold the classifier's last layer. */
const HEAD_KEYS = /^(fc|linear|classifier|head)\./;

/**
 * Weights from a checkpoint, by name: the network's own, or what torchvision first published them under.
 *
 * @throws TypeError listing what is missing, extra or of another shape
 */
export function weightsFromStateDict(layouts: ModelLayouts, found: StateDict, options: LoadOptions): Weights {
  const headFits = layouts.head.entries.every(({ name, torchShape }) =>
    found.get(name)?.shape.join() === torchShape.join()
  );
  const useHead = options.head === "require" || headFits;
  const wanted = [layouts.backbone, layouts.state, ...(useHead ? [layouts.head] : [])];
  const required = wanted.flatMap(({ entries }) =>
    entries.map(({ name, torchShape }) => ({ name, shape: torchShape }))
  );
  const ownHead = new Set(layouts.head.entries.map(({ name }) => name));
  const ignoreExtra = (name: string) => isLeftOut(name) || (!useHead && (HEAD_KEYS.test(name) || ownHead.has(name)));
  const tensors = underPresentNames(new Set(required.map(({ name }) => name)), found);
  const matched = matchStateDict(required, tensors, { ignoreExtra });
  const flatten = (layout: VectorLayout) => {
    const values = new Float32Array(layout.count);
    for (const { name, torchOffset } of layout.entries) {
      const tensor = matched.get(name)!;
      if (tensor.dtype === "int64") {
        throw new TypeError(`Cannot load ${name}: found int64 values, but floats are required`);
      }
      copyFloats(tensor, values, torchOffset);
    }
    return values;
  };
  return {
    backbone: flatten(layouts.backbone),
    state: flatten(layouts.state),
    head: useHead ? flatten(layouts.head) : initialPart(layouts, "head", options.seed),
  };
}

/** Named tensors in the order of PyTorch's state dict. They share memory with the weights. */
export function stateDictFromWeights(
  layouts: ModelLayouts,
  weights: Weights,
  parts: readonly (keyof Weights)[] = ["backbone", "head", "state"],
): StateDict {
  const dict: StateDict = new Map<string, HostTensor>();
  for (const { name, vector, torchShape } of layouts.parameters) {
    if (!parts.includes(vector)) continue;
    const { torchOffset } = layouts[vector].entries.find((entry) => entry.name === name)!;
    dict.set(name, float32Tensor(torchShape, weights[vector].subarray(torchOffset, torchOffset + sizeOf(torchShape))));
  }
  return dict;
}
