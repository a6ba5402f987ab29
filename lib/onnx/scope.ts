/**
 * What the builder of one node sees: its inputs and attributes, and the graph under construction.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import type { Operation, Tensor } from "../ops/operation.ts";
import { sizeOf } from "../tensor.ts";
import type { AttributeValue, OnnxNode, UnreadAttribute } from "./model.ts";
import { type DeviceValue, fromHostTensor, type HostValue, identityOrder, type Value } from "./value.ts";

/** Most elements of one tensor: 8 GiB. A file that asks for more is hostile. */
const MAX_ELEMENTS = 2 ** 31;
/** Most elements of a graph's tables and constants on the device, together: 256 MiB. */
const MAX_CONSTANT_ELEMENTS = 2 ** 26;
/** Most numbers of a list of axes, sizes or bounds. */
const MAX_LISTED = 2 ** 16;

/** Tables that the host writes once before a program runs. */
export type Constants = ReadonlyMap<Tensor, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>;

/** The tables of a graph under construction. */
export class ConstantTables {
  readonly #tables = new Map<Tensor, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>();
  /** Values that are on the device already: a mask has many readers. */
  readonly #uploaded = new Map<HostValue, DeviceValue>();
  #elements = 0;

  /** All so far. */
  get tables(): Constants {
    return this.#tables;
  }

  /** A table of numbers. */
  add(
    graph: Graph,
    name: string,
    shape: readonly number[],
    data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  ): Tensor {
    this.#elements += data.length;
    if (this.#elements > MAX_CONSTANT_ELEMENTS) {
      throw new FormatError(
        `the constants for the device up to here have more than ${MAX_CONSTANT_ELEMENTS} elements together`,
      );
    }
    const tensor = graph.external(name, shape);
    this.#tables.set(tensor, data);
    return tensor;
  }

  /** A host value on the device, as float32; the name is that of its first reader. */
  upload(graph: Graph, name: string, value: HostValue): DeviceValue {
    const known = this.#uploaded.get(value);
    if (known !== undefined) return known;
    const { shape, data } = value;
    const tensor = this.add(graph, name, shape, Float32Array.from(data));
    const uploaded: DeviceValue = { place: "device", tensor, shape, order: identityOrder(shape.length) };
    this.#uploaded.set(value, uploaded);
    return uploaded;
  }
}

/** The graph under construction. */
export interface Construction {
  readonly graph: Graph;
  /** Version of the operators. */
  readonly opset: number;
  /** Weight of a batch in BatchNorm's running statistics, where it is not the file's. */
  readonly batchNormMomentum: number | undefined;
  /** External tensors and what they hold. */
  readonly constants: ConstantTables;
  /** Stands before the labels of operations. */
  readonly prefix: string;
}

/** One node under construction. */
export class NodeScope {
  readonly node: OnnxNode;
  readonly inputs: readonly (Value | undefined)[];
  readonly construction: Construction;
  readonly #unread: Set<string>;
  readonly #unreadInputs: Set<number>;

  constructor(node: OnnxNode, inputs: readonly (Value | undefined)[], construction: Construction) {
    this.node = node;
    this.inputs = inputs;
    this.construction = construction;
    this.#unread = new Set(node.attributes.keys());
    this.#unreadInputs = new Set(inputs.flatMap((input, index) => input === undefined ? [] : index));
  }

  /** Label of the node's operations. */
  get name(): string {
    return this.construction.prefix + this.node.name;
  }

  /** Version of the operators. */
  get opset(): number {
    return this.construction.opset;
  }

  /** Refuses the node. */
  fail(problem: string): never {
    throw new FormatError(problem);
  }

  /** Whether an optional input is there. */
  has(index: number): boolean {
    return this.inputs[index] !== undefined;
  }

  /** An input. */
  value(index: number): Value {
    this.#unreadInputs.delete(index);
    return this.inputs[index] ?? this.fail(`input ${index} is missing`);
  }

  /** An input that does not change what the importer builds. */
  ignoreInput(...indices: readonly number[]): void {
    indices.forEach((index) => this.#unreadInputs.delete(index));
  }

  /** Whether all inputs are known on the host. */
  get onHost(): boolean {
    return this.inputs.every((input) => input === undefined || input.place === "host");
  }

  /** An input that must be known when the graph is built. */
  host(index: number): HostValue {
    const value = this.value(index);
    return value.place === "host"
      ? value
      : this.fail(`input ${index} depends on the images or on weights; a constant is required`);
  }

  /** The elements of a constant list of numbers. */
  numbers(index: number): number[] {
    const { data } = this.host(index);
    if (data.length <= MAX_LISTED) return [...data];
    return this.fail(`its input ${index} lists ${data.length} numbers; at most ${MAX_LISTED} are possible`);
  }

  /** The element of a constant that has one. */
  single(index: number): number {
    const { shape, data } = this.host(index);
    return data.length === 1 ? data[0] : this.fail(`input ${index} has the shape [${shape}]; one number is required`);
  }

  /** An input on the device; constants are uploaded as float32. */
  device(index: number): DeviceValue {
    const value = this.value(index);
    if (value.place === "device") return value;
    const { graph, constants } = this.construction;
    return constants.upload(graph, `${this.name} constant ${index}`, value);
  }

  /** A table on the device. */
  constant(
    name: string,
    shape: readonly number[],
    data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  ): Tensor {
    return this.construction.constants.add(this.construction.graph, name, shape, data);
  }

  /** Appends an operation to the graph. */
  apply(operation: Operation): Tensor {
    const { shape } = operation.output;
    if (!(sizeOf(shape) <= MAX_ELEMENTS)) {
      this.fail(`its output has the shape [${shape}]; at most ${MAX_ELEMENTS} elements are possible`);
    }
    return this.construction.graph.apply(operation);
  }

  #attribute(name: string): Exclude<AttributeValue, UnreadAttribute> | undefined {
    this.#unread.delete(name);
    const value = this.node.attributes.get(name);
    if (typeof value !== "object" || !("unread" in value)) return value;
    return this.fail(`its attribute ${name} is of type ${value.unread}; numbers, strings and tensors can be read`);
  }

  /** Whether the node states an attribute. */
  states(name: string): boolean {
    return this.node.attributes.has(name);
  }

  /** A number; required where there is none to take otherwise. */
  number(name: string, otherwise?: number): number {
    const value = this.#attribute(name) ?? otherwise ?? this.fail(`its attribute ${name} is missing`);
    return typeof value === "number" ? value : this.fail(`its attribute ${name} is no number`);
  }

  /** A string. */
  string(name: string, otherwise: string): string {
    const value = this.#attribute(name) ?? otherwise;
    return typeof value === "string" ? value : this.fail(`its attribute ${name} is no string`);
  }

  /** A list of numbers. */
  list(name: string): readonly number[] | undefined {
    const value = this.#attribute(name);
    if (value === undefined) return undefined;
    return Array.isArray(value) ? value as readonly number[] : this.fail(`its attribute ${name} is no list`);
  }

  /** A tensor. */
  tensor(name: string): HostValue | undefined {
    const value = this.#attribute(name);
    if (value === undefined) return undefined;
    return typeof value === "object" && "data" in value
      ? fromHostTensor(value)
      : this.fail(`its attribute ${name} is no tensor`);
  }

  /** An attribute that does not change what the importer builds. */
  ignore(...names: readonly string[]): void {
    names.forEach((name) => this.#unread.delete(name));
  }

  /** A list that older opsets state as an attribute and newer ones as an input. */
  listOrInput(name: string, index: number): readonly number[] | undefined {
    return this.list(name) ?? (this.has(index) ? this.numbers(index) : undefined);
  }

  /** An axis counted from the start. */
  axis(axis: number, rank: number): number {
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
      this.fail(`its axis is ${axis}, but the tensor has ${rank} axes`);
    }
    return axis < 0 ? axis + rank : axis;
  }

  /** Refuses attributes and inputs that the builder has not looked at. */
  finish(): void {
    const [unread] = this.#unread, [input] = this.#unreadInputs;
    if (unread !== undefined) this.fail(`its attribute ${unread} is not supported`);
    if (input !== undefined) this.fail(`its input ${input} is not supported`);
  }
}
