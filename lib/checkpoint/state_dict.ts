/**
 * A network's weights from whatever file holds them.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { StateDict } from "../tensor.ts";
import { during } from "./context.ts";
import { isModule, moduleStateDict } from "./module_state.ts";
import type { ExternalReader } from "./onnx_external.ts";
import { describeValue, isRecord } from "./pickle_value.ts";
import { stripPrefixes } from "./prefixes.ts";
import { isSafetensors, readSafetensors } from "./safetensors.ts";
import { isHostTensor, readTorch, type TorchValue } from "./torch.ts";
import { isZip } from "./zip.ts";

export { type MatchOptions, matchStateDict, type RequiredTensor } from "./match.ts";
export { stripPrefixes } from "./prefixes.ts";

/** Where training scripts put the weights, most specific first: PyTorch's examples and Lightning, then others. */
const WRAPPERS: readonly string[] = ["state_dict", "model_state_dict", "model_state", "model", "network", "net"];
const MAX_WRAPPERS = 8;

/** How a checkpoint's names are treated. */
export interface CheckpointOptions {
  /** Keep names as they are in the file: for networks whose own names begin with `backbone.` or `encoder.`. */
  readonly keepPrefixes?: boolean;
  /** Reads the files beside an ONNX model that hold its larger tensors. */
  readonly external?: ExternalReader;
}

/** A dictionary, also one of a class of its own. */
function asDictionary(value: TorchValue | undefined): Map<TorchValue, TorchValue> | undefined {
  if (value instanceof Map) return value;
  if (value !== undefined && isRecord(value)) return value.entries ?? undefined;
  return undefined;
}

function holdsWeights(value: TorchValue | undefined): value is TorchValue {
  return value !== undefined && (isModule(value) || asDictionary(value) !== undefined);
}

/** The tensors of a dictionary; entries that are no tensors (`_extra_state`, counters) are left out. */
function tensorsOf(dictionary: Map<TorchValue, TorchValue>): StateDict {
  const state: StateDict = new Map();
  for (const [name, value] of dictionary) {
    if (typeof name === "string" && isHostTensor(value)) state.set(name, value);
  }
  return state;
}

function keysOf(dictionary: Map<TorchValue, TorchValue>): string {
  const keys = [...dictionary.keys()].slice(0, 8).map((key) => typeof key === "string" ? key : describeValue(key));
  return `${keys.join(", ")}${dictionary.size > 8 ? ", ..." : ""}`;
}

/** SimCLR's converted checkpoints: the network's names are bare, the projection head's get `head.` before them. */
function simclr(dictionary: Map<TorchValue, TorchValue>, depth: number): StateDict | undefined {
  const network = dictionary.get("resnet"), head = dictionary.get("head");
  if (!holdsWeights(network)) return undefined;
  const state = findStateDict(network, depth + 1);
  if (!holdsWeights(head)) return state;
  for (const [name, tensor] of findStateDict(head, depth + 1)) state.set(`head.${name}`, tensor);
  return state;
}

/**
 * The state dictionary in what a PyTorch file holds: bare, under one of the usual keys (`state_dict`, `model`, ...),
 * SimCLR's `resnet` and `head`, or a whole module. Names stay as they are. Throws `FormatError` where there is none.
 */
export function findStateDict(value: TorchValue, depth = 0): StateDict {
  if (isModule(value)) return moduleStateDict(value);
  const dictionary = asDictionary(value);
  if (dictionary === undefined || depth > MAX_WRAPPERS) {
    const found = isHostTensor(value) ? `one tensor of shape [${value.shape}]` : describeValue(value);
    throw new FormatError(`it holds ${found}; a state dictionary or a module is required`);
  }
  const wrapper = WRAPPERS.find((key) => holdsWeights(dictionary.get(key)));
  if (wrapper !== undefined) return findStateDict(dictionary.get(wrapper)!, depth + 1);
  const state = simclr(dictionary, depth) ?? tensorsOf(dictionary);
  if (state.size === 0) {
    throw new FormatError(
      `it holds a dictionary without tensors (${keysOf(dictionary)}); a state dictionary is required`,
    );
  }
  return state;
}

/** What files that are no checkpoint at all usually are. */
function guess(bytes: Uint8Array): string {
  const start = new TextDecoder().decode(bytes.subarray(0, 64)).trimStart();
  if (bytes.length === 0) return "the file is empty";
  if (start.startsWith("version https://git-lfs")) {
    return "it is a Git LFS pointer; fetch the file itself with git lfs pull";
  }
  if (/^<(!doctype|html)/i.test(start)) return "it is a web page; download the file itself";
  if (new TextDecoder().decode(bytes.subarray(257, 262)) === "ustar") {
    return "it is a tar archive, PyTorch's format before 0.1.10; save it again with a newer PyTorch";
  }
  return "its first bytes are of no format that can be read";
}

async function readTensors(bytes: Uint8Array, name: string, external?: ExternalReader): Promise<StateDict> {
  // First, because the length that begins the file can look like anything else's first byte.
  if (isSafetensors(bytes)) return readSafetensors(bytes, name).tensors;
  if (isZip(bytes) || bytes[0] === 0x80) {
    const value = readTorch(bytes, name);
    return during(`Cannot read weights from ${name}`, () => findStateDict(value));
  }
  // Loaded only when it is needed: the ONNX schema takes longer to load than most checkpoints to read.
  const { isOnnx, readOnnxWeights, readSplitOnnxWeights } = await import("./onnx.ts");
  if (isOnnx(bytes)) {
    return external ? await readSplitOnnxWeights(bytes, name, external) : readOnnxWeights(bytes, name);
  }
  throw new FormatError(
    `Cannot read ${name} as a checkpoint: ${
      guess(bytes)
    }; a PyTorch (.pth, .pt, .ckpt), safetensors or ONNX file is required`,
  );
}

/**
 * A network's weights by name, from a PyTorch (zip or legacy), safetensors or ONNX file; the content decides, not the
 * file's name, which stands in errors.
 *
 * Wrappers' prefixes (`module.`, `backbone.`, `encoder.`, `base_model.`) are taken off the names that have them, again
 * and again, except where two tensors would then have the same name; `keepPrefixes` keeps them. A tensor may be a view
 * of `bytes`. Throws `FormatError` on bytes that hold no weights that can be read.
 */
export async function readCheckpoint(
  bytes: Uint8Array,
  name: string,
  options: CheckpointOptions = {},
): Promise<StateDict> {
  const found = await readTensors(bytes, name, options.external);
  return options.keepPrefixes === true ? found : stripPrefixes(found);
}
