/**
 * Which elements of a flat mean are which parameter: the original's files do not say, but the model beside them does.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { type HostTensor, sizeOf, type StateDict } from "../tensor.ts";

/** Name and PyTorch's shape of one parameter. */
export interface ParameterShape {
  /** Key in the state dictionary, such as `layer1.0.conv1.weight`. */
  readonly name: string;
  /** Sizes in PyTorch's order: [O, I, KH, KW] for a convolution. */
  readonly shape: readonly number[];
}

/** What BatchNorm keeps beside its parameters. */
const BUFFER = /(^|\.)(running_mean|running_var|num_batches_tracked)$/;
/**
 * Squared distance over the sum of the squared norms above which two tensors are unrelated: 0 if equal, 1 if
 * orthogonal.
 */
const UNRELATED = 0.5;

/** The trainable tensors of a state dictionary in its order, which is that of PyTorch's `parameters()`. */
export function parametersOf(model: StateDict): ParameterShape[] {
  return [...model].filter(([name]) => !BUFFER.test(name)).map(([name, { shape }]) => ({ name, shape }));
}

/**
 * Refuses a model in which the four files' readers, who go by names alone, would not find the prior's parameters.
 *
 * @param model names of the model's tensors in their order
 * @param parameters those of the prior's parameters
 */
export function requirePartsNames(model: readonly string[], parameters: readonly string[]): void {
  const found = model.filter((name) => !BUFFER.test(name));
  for (let index = 0; index < Math.max(found.length, parameters.length); index++) {
    if (found[index] === parameters[index]) continue;
    throw new TypeError(
      "Cannot write a prior as four files: nothing but PyTorch's names tells parameters from running statistics there, " +
        `and by these parameter ${index} would be ${found[index] ?? "missing"}, but it is ` +
        `${parameters[index] ?? "none"}; one safetensors file is required`,
    );
  }
}

/** How far apart two tensors are, 0 to 2; 0 where both are zero. */
function distance(a: HostTensor, b: Float32Array): number {
  let apart = 0, norms = 0;
  for (let i = 0; i < b.length; i++) {
    const other = Number(a.data[i]), value = b[i];
    apart += (other - value) ** 2;
    norms += other ** 2 + value ** 2;
  }
  return norms === 0 ? 0 : apart / norms;
}

/**
 * Refuses a mean that is not the model's parameters in their order. SWAG's mean lies near the weights that it began
 * with or ended at; elements of another layer do not. Vectors are not compared: BatchNorm's are alike or near zero.
 */
export function requireSameOrder(parameters: readonly ParameterShape[], model: StateDict, mean: Float32Array): void {
  const count = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  if (count !== mean.length) {
    throw new FormatError(
      `_model.pt has ${count} parameters in ${parameters.length} tensors (${parameters[0]?.name ?? "none"} to ` +
        `${
          parameters.at(-1)?.name ?? "none"
        }), but _mean.pt has ${mean.length} elements; the same network without its ` +
        "head is required",
    );
  }
  const unlike: string[] = [];
  let offset = 0;
  for (const { name, shape } of parameters) {
    const size = sizeOf(shape);
    if (shape.length > 1 && distance(model.get(name)!, mean.subarray(offset, offset + size)) > UNRELATED) {
      unlike.push(name);
    }
    offset += size;
  }
  if (unlike.length > 0) {
    throw new FormatError(
      `_mean.pt does not follow the order of _model.pt: it disagrees in ${unlike.length} tensors (${
        unlike.slice(0, 4).join(", ")
      }${unlike.length > 4 ? ", ..." : ""}); a mean flattened in the order of the network's parameters() is required`,
    );
  }
}

/**
 * Refuses a prior over other parameters than the network's, or over the same in another order: its elements would belong
 * to other weights.
 *
 * @param network the backbone's parameters in their order
 */
export function requireSameParameters(
  prior: readonly ParameterShape[],
  network: readonly { readonly name: string; readonly torchShape: readonly number[] }[],
): void {
  const stated = (name?: string, shape?: readonly number[]) => name === undefined ? "missing" : `${name} [${shape}]`;
  const length = Math.max(prior.length, network.length);
  for (let index = 0; index < length; index++) {
    const found = stated(prior[index]?.name, prior[index]?.shape);
    const required = stated(network[index]?.name, network[index]?.torchShape);
    if (found === required) continue;
    const count = prior.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    throw new TypeError(
      `Cannot use a prior over ${count} parameters in ${prior.length} tensors for this network: tensor ${index} of the ` +
        `prior is ${found}, of the network ${required}; the same tensors in the same order are required`,
    );
  }
}
