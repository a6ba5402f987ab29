/**
 * The state dictionary of a whole pickled `torch.nn.Module`, from the inert record of it.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { StateDict } from "../tensor.ts";
import { isHostTensor, type TorchValue } from "./torch_tensor.ts";
import { isRecord } from "./pickle_value.ts";

const MAX_DEPTH = 64;
const MAX_MODULES = 1 << 16;
const MAX_NAME = 1024;

type Attributes = Map<TorchValue, TorchValue>;

/** A pickled object's attributes, whether its state is a dictionary or a pair of it and its slots. */
function attributes(value: TorchValue): Attributes | undefined {
  if (!isRecord(value)) return undefined;
  const state = Array.isArray(value.state) ? value.state[0] : value.state;
  return state instanceof Map ? state : undefined;
}

/** Whether a value is a pickled module: an object with parameters and submodules. */
export function isModule(value: TorchValue): boolean {
  const state = attributes(value);
  return state?.get("_parameters") instanceof Map && state.get("_modules") instanceof Map;
}

function addTensors(
  state: StateDict,
  prefix: string,
  tensors: TorchValue | undefined,
  skipped: TorchValue | undefined,
): void {
  if (!(tensors instanceof Map)) return;
  for (const [key, value] of tensors) {
    if (typeof key !== "string" || !isHostTensor(value)) continue;
    if (skipped instanceof Set && skipped.has(key)) continue;
    if (prefix.length + key.length > MAX_NAME) throw new FormatError(`a tensor's name is longer than ${MAX_NAME}`);
    state.set(prefix + key, value);
  }
}

/**
 * What `module.state_dict()` would give: parameters, then persistent buffers, then submodules, each in the order in
 * which they were registered. Throws `FormatError` where the modules are nested without end.
 */
export function moduleStateDict(module: TorchValue): StateDict {
  const state: StateDict = new Map();
  let visited = 0;
  function visit(value: TorchValue, prefix: string, depth: number): void {
    if (depth > MAX_DEPTH || ++visited > MAX_MODULES || prefix.length > MAX_NAME) {
      throw new FormatError(`its modules are nested deeper than ${MAX_DEPTH} or are more than ${MAX_MODULES}`);
    }
    const own = attributes(value);
    if (own === undefined) return;
    addTensors(state, prefix, own.get("_parameters"), undefined);
    addTensors(state, prefix, own.get("_buffers"), own.get("_non_persistent_buffers_set"));
    const children = own.get("_modules");
    if (!(children instanceof Map)) return;
    for (const [name, child] of children) {
      if (typeof name === "string" && child !== null) visit(child, `${prefix}${name}.`, depth + 1);
    }
  }
  visit(module, "", 0);
  return state;
}
