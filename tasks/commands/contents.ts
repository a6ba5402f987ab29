/**
 * What a file of tensors holds, whatever its format: the content decides, not the name.
 *
 * @module
 */

import { during } from "../../lib/checkpoint/context.ts";
import { readNpy, readNpz } from "../../lib/checkpoint/npy.ts";
import { isSafetensors, readSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { findStateDict, readCheckpoint, stripPrefixes } from "../../lib/checkpoint/state_dict.ts";
import { isHostTensor, readTorch, type TorchValue } from "../../lib/checkpoint/torch.ts";
import { isZip, readZip } from "../../lib/checkpoint/zip.ts";
import { sizeOf, type StateDict } from "../../lib/tensor.ts";
import { readerBeside } from "./onnx_file.ts";

/** A file's tensors and what it says of itself. */
export interface Contents {
  /** As people call it: `PyTorch (zip)`, `safetensors`, ... */
  readonly format: string;
  readonly tensors: StateDict;
  /** Facts beside the tensors: a safetensors header's, or the plain values of a PyTorch dictionary. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Name given to the tensor of a file that holds one without a name. */
export const UNNAMED = "tensor";

/** What a learned prior's own file calls its format. */
export const PRIOR_FORMAT = "swagpu-prior";

const RUNNING_STATISTIC = /(^|\.)running_(mean|var)$/;
const COUNTER = /(^|\.)num_batches_tracked$/;

/**
 * Reads a checkpoint, a learned prior's file or arrays.
 *
 * @param name the file's path
 * @param keepPrefixes leave `module.`, `backbone.` and the like on the tensors' names
 * @throws FormatError on bytes that hold no tensors that can be read
 */
export async function readContents(bytes: Uint8Array, name: string, keepPrefixes: boolean): Promise<Contents> {
  const named = (tensors: StateDict) => keepPrefixes ? tensors : stripPrefixes(tensors);
  if (isSafetensors(bytes)) {
    const { tensors, metadata } = readSafetensors(bytes, name);
    return { format: "safetensors", tensors: named(tensors), metadata };
  }
  if (isNpy(bytes)) return { format: "NumPy array", tensors: new Map([[UNNAMED, readNpy(bytes, name)]]), metadata: {} };
  if (isZip(bytes) && isNpz(bytes)) return { format: "NumPy archive", tensors: readNpz(bytes, name), metadata: {} };
  if (isZip(bytes) || bytes[0] === 0x80) {
    const format = isZip(bytes) ? "PyTorch (zip)" : "PyTorch (legacy)";
    const value = readTorch(bytes, name);
    if (isHostTensor(value)) return { format, tensors: new Map([[UNNAMED, value]]), metadata: {} };
    return {
      format,
      tensors: named(during(`Cannot read weights from ${name}`, () => findStateDict(value))),
      metadata: plainValues(value),
    };
  }
  const external = readerBeside(name);
  return { format: "ONNX", tensors: await readCheckpoint(bytes, name, { keepPrefixes, external }), metadata: {} };
}

function isNpy(bytes: Uint8Array): boolean {
  return bytes[0] === 0x93 && new TextDecoder().decode(bytes.subarray(1, 6)) === "NUMPY";
}

/** Whether a zip archive holds arrays only; one that is damaged is left to PyTorch's reader, which says how. */
function isNpz(bytes: Uint8Array): boolean {
  try {
    const names = [...readZip(bytes).entries.keys()];
    return names.length > 0 && names.every((name) => name.endsWith(".npy"));
  } catch {
    return false;
  }
}

/** Numbers, texts and truth values directly in a dictionary, as `epoch` or `best_prec1`. */
function plainValues(value: TorchValue): Record<string, string> {
  if (!(value instanceof Map)) return {};
  return Object.fromEntries(
    [...value].flatMap(([key, entry]) =>
      typeof key === "string" && ["number", "bigint", "string", "boolean"].includes(typeof entry)
        ? [[key, String(entry)]]
        : []
    ),
  );
}

/** How many values a file holds, by what becomes of them. */
export interface ParameterCounts {
  /** Values that train; of a learned prior the number of weights that it is over. */
  readonly parameters: number;
  /** Values that BatchNorm only keeps. */
  readonly statistics: number;
  /** Rank of a learned prior's covariance; absent from everything else. */
  readonly rank?: number;
}

/** How many values train and how many BatchNorm only keeps. */
export function countParameters({ tensors, metadata }: Contents): ParameterCounts {
  let parameters = 0, statistics = 0;
  for (const [name, { shape }] of tensors) {
    if (RUNNING_STATISTIC.test(name)) statistics += sizeOf(shape);
    else if (!COUNTER.test(name)) parameters += sizeOf(shape);
  }
  const mean = tensors.get("mean"), factor = tensors.get("cov_factor");
  if (metadata.format === PRIOR_FORMAT && mean !== undefined && factor !== undefined) {
    return { parameters: sizeOf(mean.shape), statistics, rank: factor.shape[0] };
  }
  return { parameters, statistics };
}
