/**
 * An ONNX model as plain data: what the importer needs of the file, without protobuf.
 *
 * @module
 */

import type { HostTensor } from "../tensor.ts";
import type { ImageNormalisation } from "./image_metadata.ts";

/** Value of a node's attribute. 64-bit integers are numbers: those past 2^53 only ever stand for "to the end". */
export type AttributeValue = number | string | readonly number[] | HostTensor | UnreadAttribute;

/** An attribute of a type that no supported operator has, such as a graph. */
export interface UnreadAttribute {
  /** Its `onnx.AttributeProto.AttributeType`. */
  readonly unread: number;
}

/** One operator of the graph. */
export interface OnnxNode {
  /** Its name, or that of its first output where it has none. */
  readonly name: string;
  /** Operator of the default domain, as `Conv`; of another domain as `com.microsoft.FusedConv`. */
  readonly operator: string;
  /** Names of values; empty where an optional input is left out. */
  readonly inputs: readonly string[];
  /** Names of values. */
  readonly outputs: readonly string[];
  /** By name. */
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

/** A classifier's graph: from one image input to one output. */
export interface OnnxModel {
  /** Stands in errors. */
  readonly file: string;
  /** Version of the operators. */
  readonly opset: number;
  /** The nodes that the output needs, each after those whose values it reads. */
  readonly nodes: readonly OnnxNode[];
  /** Tensors stored in the file, in its order. */
  readonly initialisers: ReadonlyMap<string, HostTensor>;
  /** The images. */
  readonly input: {
    /** Name of the value. */
    readonly name: string;
    /** [N, C, H, W]; `undefined` where a size is dynamic. */
    readonly shape: readonly (number | undefined)[];
  };
  /** Name of the value that holds the logits. */
  readonly output: string;
  /** Its shape, one axis for the images first, where that is known; `undefined` where a size is dynamic. */
  readonly outputShape?: readonly (number | undefined)[];
  /** Names of the graph's other outputs, which are not computed. */
  readonly furtherOutputs?: readonly string[];
  /** By what the graph itself normalises images of range 0 to 1; where it does not, they are normalised before it. */
  readonly normalisation?: ImageNormalisation;
}

/** The node as errors name it. */
export function describe({ operator, name }: OnnxNode): string {
  return `the ${operator} node ${name}`;
}
