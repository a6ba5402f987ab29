/**
 * {@linkcode OnnxModel}s as ONNX files.
 *
 * @module
 */

import { onnxProto } from "../../deps.ts";
import type { HostTensor } from "../../tensor.ts";
import type { OnnxModel, OnnxNode } from "../model.ts";
import { attributeProto } from "./attributes.ts";
import { byteSizeOf, externalTensors, tensorProto, type TensorRecord } from "./tensors.ts";

/** Version of the format, which all opsets that are written allow. */
const IR_VERSION = 8;
const FLOAT = 1;
/** Most bytes of one protobuf message: what its 32-bit readers can address. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;
/** Names of the axes of images that are of any size. */
const AXES: readonly string[] = ["batch", "channels", "height", "width"];

/** What a file says beside its graph, and where its tensors go. */
export interface OnnxFileOptions {
  /** Facts for `metadata_props`, by name. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Name of the file for the larger tensors, beside the model, where one file would be too large. */
  readonly dataName?: string;
  /** Most bytes of the model's file: 2 GiB, protobuf's limit, unless given. */
  readonly maxBytes?: number;
}

/** A model's files. */
export interface OnnxFiles {
  /** The `.onnx` file. */
  readonly model: Uint8Array;
  /** The file beside it that holds its larger tensors, where there is one. */
  readonly data?: Uint8Array;
}

function nodeProto({ name, operator, inputs, outputs, attributes }: OnnxNode) {
  if (operator.includes(".")) {
    throw new TypeError(`Cannot write the node ${name}: ${operator} is no operator of ONNX's own domain`);
  }
  const attribute = [...attributes].map(([key, value]) => attributeProto(key, value));
  return { name, opType: operator, input: [...inputs], output: [...outputs], attribute };
}

/** An input or output of floats; sizes that are names or missing are dynamic. */
function valueInfo(name: string, shape?: readonly (number | string | undefined)[]) {
  const dim = shape?.map((n) => typeof n === "number" ? { dimValue: n } : { dimParam: n });
  return { name, type: { tensorType: { elemType: FLOAT, ...dim ? { shape: { dim } } : {} } } };
}

/** The model's message around its tensors. */
function encode(model: OnnxModel, initializer: TensorRecord[], { metadata = {} }: OnnxFileOptions): Uint8Array {
  const { input, output, nodes, opset, outputShape } = model;
  const bytes = onnxProto.onnx.ModelProto.encode({
    irVersion: IR_VERSION,
    producerName: "swagpu",
    opsetImport: [{ domain: "", version: opset }],
    graph: {
      name: "classifier",
      node: nodes.map(nodeProto),
      initializer,
      input: [valueInfo(input.name, input.shape.map((n, axis) => n ?? AXES[axis]))],
      output: [valueInfo(output, outputShape?.map((n, axis) => n ?? (axis === 0 ? AXES[0] : undefined)))],
    },
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  }).finish();
  // Elsewhere than in a browser protobuf.js gives a Node.js Buffer.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

function totalOf(tensors: ReadonlyMap<string, HostTensor>): number {
  return [...tensors.values()].reduce((sum, tensor) => sum + byteSizeOf(tensor), 0);
}

/**
 * The files of a model: one, or two where one would be larger than `maxBytes`.
 *
 * @throws TypeError on an operator of another domain than ONNX's own
 * @throws RangeError where even the graph without its larger tensors is larger than `maxBytes`
 */
export function writeOnnxModel(model: OnnxModel, options: OnnxFileOptions = {}): OnnxFiles {
  const { dataName = "model.onnx.data", maxBytes = MAX_MESSAGE_BYTES } = options;
  const { initialisers } = model;
  if (totalOf(initialisers) <= maxBytes) {
    const bytes = encode(model, [...initialisers].map(([name, tensor]) => tensorProto(name, tensor)), options);
    if (bytes.length <= maxBytes) return { model: bytes };
  }
  const { records, data } = externalTensors(initialisers, dataName);
  const bytes = encode(model, records, options);
  if (bytes.length <= maxBytes) return { model: bytes, data };
  throw new RangeError(
    `Cannot write ${model.file}: its graph takes ${bytes.length} bytes, but at most ${maxBytes} fit one file`,
  );
}
