/**
 * A graph of ONNX operators under construction.
 *
 * @module
 */

import { float32Tensor, type HostTensor, type StateDict } from "../../tensor.ts";
import type { AttributeValue, OnnxNode } from "../model.ts";

/** Nodes in the order in which they run, and the constants that they read. */
export class NodeList {
  readonly #nodes: OnnxNode[] = [];
  readonly #constants: StateDict = new Map();

  /** Nodes so far. */
  get nodes(): readonly OnnxNode[] {
    return this.#nodes;
  }

  /** Constants so far, by name. */
  get constants(): ReadonlyMap<string, HostTensor> {
    return this.#constants;
  }

  /** Appends a node of one output. */
  add(
    operator: string,
    name: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    output: string = name,
  ): string {
    this.#nodes.push({ name, operator, inputs, outputs: [output], attributes: new Map(Object.entries(attributes)) });
    return output;
  }

  /** Stores a list of integers; its name is one that no weight has. */
  integers(name: string, values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.#store(name, { dtype: "int64", shape: [values.length], data });
  }

  /** Stores a number, say; its name is one that no weight has. */
  floats(name: string, shape: readonly number[], values: readonly number[]): string {
    return this.#store(name, float32Tensor(shape, Float32Array.from(values)));
  }

  /** A table in a node of its own: never a weight, and none that an exporter made of weights, whatever reads it. */
  table(name: string, shape: readonly number[], values: readonly number[]): string {
    return this.add("Constant", name, [], { value: float32Tensor(shape, Float32Array.from(values)) });
  }

  #store(name: string, tensor: HostTensor): string {
    const key = `onnx::${name}`;
    this.#constants.set(key, tensor);
    return key;
  }
}
