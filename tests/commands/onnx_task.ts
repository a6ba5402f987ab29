/** Files of imported networks for tests of the commands. */

import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { onnxProto } from "../../lib/deps.ts";
import { readGraph, type StoredTensor, withWeights } from "../fixtures/onnx_model.ts";

const { ModelProto } = onnxProto.onnx;

/** A model with a checkpoint's weights under the graph's names. */
export async function graphWith(name: string, checkpoint: string): Promise<Uint8Array<ArrayBuffer>> {
  const found = await readCheckpoint(await Deno.readFile(checkpoint), checkpoint);
  const stored = [...found].filter(([key]) => !key.endsWith("num_batches_tracked"));
  return withWeights(await readGraph(name), new Map(stored as [string, StoredTensor][]));
}

/** The same model with its weights in the file `location` beside it. */
export function withExternalData(bytes: Uint8Array, location: string): { model: Uint8Array; data: Uint8Array } {
  const model = ModelProto.decode(bytes);
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of model.graph!.initializer!) {
    const raw = tensor.rawData!;
    parts.push(raw);
    tensor.dataLocation = 1;
    tensor.externalData = [
      { key: "location", value: location },
      { key: "offset", value: `${offset}` },
      { key: "length", value: `${raw.length}` },
    ];
    tensor.rawData = new Uint8Array();
    offset += raw.length;
  }
  const data = new Uint8Array(offset);
  parts.reduce((at, part) => (data.set(part, at), at + part.length), 0);
  return { model: ModelProto.encode(model).finish(), data };
}

/** The model with a node of its graph changed. */
export function withNode(
  bytes: Uint8Array,
  operator: string,
  change: (node: { opType?: string | null; name?: string | null }) => void,
): Uint8Array {
  const model = ModelProto.decode(bytes);
  change(model.graph!.node!.find(({ opType }) => opType === operator)!);
  return ModelProto.encode(model).finish();
}

/** The model with its values renamed. */
export function withNames(bytes: Uint8Array, rename: (name: string) => string): Uint8Array {
  const model = ModelProto.decode(bytes);
  for (const node of model.graph!.node!) {
    node.input = node.input!.map(rename);
    node.output = node.output!.map(rename);
  }
  for (const tensor of model.graph!.initializer!) tensor.name = rename(tensor.name!);
  return ModelProto.encode(model).finish();
}
