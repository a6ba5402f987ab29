/**
 * What `inspect` says of an ONNX file: its graph, its split into backbone and head, and what a batch of it costs.
 *
 * @module
 */

import { FormatError, UsageError } from "../../lib/errors.ts";
import { type ClassifierCost, classifierCost } from "../../lib/models/cost.ts";
import { findHead, type Head } from "../../lib/onnx/head.ts";
import type { OnnxModel } from "../../lib/onnx/model.ts";
import { type PlannedParameter, planParameters } from "../../lib/onnx/parameters.ts";
import { sizeOf } from "../../lib/tensor.ts";
import { readOnnxFile } from "./onnx_file.ts";
import { exportRemarks } from "./onnx_remarks.ts";
import { type Description, tableOf, type TensorRow } from "./table.ts";

/** What a file's cost is worked out for. */
export interface OnnxRequest {
  readonly batchSize: number;
  /** Side of the images; the file's own, or 224, unless given. */
  readonly imageSize?: number;
  /** The head's node, where it cannot be told. */
  readonly head?: string;
}

/** A batch and its cost. */
interface Batch extends ClassifierCost {
  readonly images: number;
  readonly height: number;
  readonly width: number;
}

/** The object of `--json`. */
interface OnnxFacts {
  readonly path: string;
  readonly format: "ONNX";
  readonly bytes: number;
  readonly parameters: number;
  readonly statistics: number;
  readonly opset: number;
  /** Sizes are `null` where they are dynamic. */
  readonly input: { readonly name: string; readonly shape: readonly (number | null)[] };
  readonly output: { readonly name: string; readonly shape?: readonly (number | null)[] };
  /** Nodes of each operator. */
  readonly operators: Readonly<Record<string, number>>;
  readonly backbone?: { readonly parameters: number };
  readonly head?: {
    readonly node: string;
    readonly operator: string;
    readonly numClasses: number;
    readonly parameters: number;
  };
  readonly batch?: Batch;
  /** Why the file cannot be trained as it is. */
  readonly problem?: string;
  readonly remarks: readonly string[];
  readonly tensors: readonly TensorRow[];
}

const DEFAULT_SIZE = 224;

function countOf(parameters: readonly PlannedParameter[], ...vectors: readonly string[]): number {
  return parameters.filter(({ vector }) => vectors.includes(vector)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

function operatorsOf({ nodes }: OnnxModel): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { operator } of nodes) counts.set(operator, (counts.get(operator) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)));
}

function batchOf(model: OnnxModel, head: Head, { batchSize, imageSize }: OnnxRequest): Batch {
  const [, , rows, columns] = model.input.shape;
  const height = imageSize ?? rows ?? DEFAULT_SIZE, width = imageSize ?? columns ?? DEFAULT_SIZE;
  const config = { encoder: model.file, network: { model, head }, numClasses: head.numClasses, height, width };
  return { images: batchSize, height, width, ...classifierCost(config, batchSize) };
}

/** What needs more of a file than that it can be read: one that cannot be trained is described all the same. */
function trainingFacts(model: OnnxModel, request: OnnxRequest): { head?: Head; batch?: Batch; problem?: string } {
  let head: Head | undefined;
  try {
    head = findHead(model, request.head);
    return { head, batch: batchOf(model, head, request) };
  } catch (error) {
    const expected = [FormatError, UsageError, TypeError, RangeError].some((type) => error instanceof type);
    if (!expected) throw error;
    return { head, problem: (error as Error).message };
  }
}

function factsOf(path: string, bytes: number, model: OnnxModel, request: OnnxRequest): OnnxFacts {
  const { head, batch, problem } = trainingFacts(model, request);
  const planned = planParameters(model, head, head?.numClasses);
  return {
    path,
    format: "ONNX",
    bytes,
    parameters: countOf(planned, "backbone", "head"),
    statistics: countOf(planned, "state"),
    opset: model.opset,
    input: { name: model.input.name, shape: model.input.shape.map((n) => n ?? null) },
    output: { name: model.output, shape: head && [null, head.numClasses] },
    operators: operatorsOf(model),
    backbone: head && { parameters: countOf(planned, "backbone") },
    head: head && {
      node: head.node.name,
      operator: head.node.operator,
      numClasses: head.numClasses,
      parameters: countOf(planned, "head"),
    },
    batch,
    problem,
    remarks: exportRemarks(model),
    tensors: planned.map(({ name, shape }) => ({ name, dtype: model.initialisers.get(name)!.dtype, shape })),
  };
}

function valueText({ name, shape = [] }: OnnxFacts["output"]): string {
  return `${name} [${shape.map((n) => n ?? "N").join(", ")}]`;
}

function costText(flops: number, bytes: number): string {
  return `${(flops / 1e9).toPrecision(4)} GFLOP, ${(bytes / 2 ** 20).toFixed(1)} MiB of activations`;
}

function linesOf(facts: OnnxFacts): string[] {
  const { path, bytes, tensors, parameters, statistics, head, batch } = facts;
  const rows: [string, string][] = [
    ["opset", `${facts.opset}`],
    ["input", valueText(facts.input)],
    ["output", valueText(facts.output)],
    ["operators", Object.entries(facts.operators).map(([name, count]) => `${name} ${count}`).join(", ")],
  ];
  if (head !== undefined) {
    rows.push(["backbone", `${facts.backbone!.parameters} parameters`]);
    rows.push(["head", `${head.operator} ${head.node}, ${head.numClasses} classes, ${head.parameters} parameters`]);
  }
  if (batch !== undefined) {
    rows.push(["batch", `${batch.images} images of ${batch.height}x${batch.width}`]);
    rows.push(["evaluation", costText(batch.forwardFlops, batch.evaluationBytes)]);
    rows.push(["training step", costText(batch.trainingFlops, batch.trainingBytes)]);
  }
  if (facts.problem !== undefined) rows.push(["problem", facts.problem]);
  facts.remarks.forEach((line) => rows.push(["note", line]));
  return [
    `${path}: ONNX, ${bytes} bytes, ${tensors.length} tensors, ${parameters} parameters` +
    (statistics > 0 ? ` and ${statistics} running statistics` : ""),
    ...rows.map(([name, text]) => `  ${name.padEnd(15)}${text}`),
    ...tableOf(tensors),
  ];
}

/**
 * Describes an ONNX file.
 *
 * @throws FormatError on a file that is damaged, hostile, or no network of images
 */
export async function describeOnnx(path: string, bytes: Uint8Array, request: OnnxRequest): Promise<Description> {
  const facts = factsOf(path, bytes.length, await readOnnxFile(path, bytes), request);
  return { object: { ...facts }, lines: linesOf(facts) };
}
