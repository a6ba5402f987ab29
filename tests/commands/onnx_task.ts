/** Files of imported networks for tests of the commands. */

import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { onnxProto } from "../../lib/deps.ts";
import { readGraph, type StoredTensor, withWeights } from "../fixtures/onnx_model.ts";

const { ModelProto, NodeProto } = onnxProto.onnx;

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

/** The model with its logits scaled behind its head, as by a temperature. */
export function withTemperature(bytes: Uint8Array, factor: number): Uint8Array {
  const model = ModelProto.decode(bytes), graph = model.graph!, [{ name: output }] = graph.output!;
  const last = graph.node!.find((node) => node.output!.includes(output!))!;
  last.output = ["cold"];
  const value = { dataType: 1, dims: [], floatData: [factor] };
  graph.node!.push(
    new NodeProto({ opType: "Constant", output: ["factor"], attribute: [{ name: "value", type: 4, t: value }] }),
    new NodeProto({ opType: "Mul", name: "temperature", input: ["cold", "factor"], output: [output!] }),
  );
  return ModelProto.encode(model).finish();
}

/** The model with a stored tensor of floats multiplied by a number. */
export function withScaled(bytes: Uint8Array, names: readonly string[], factor: number): Uint8Array {
  const model = ModelProto.decode(bytes);
  for (const tensor of model.graph!.initializer!.filter(({ name }) => names.includes(name!))) {
    const values = new Float32Array(tensor.rawData!.slice().buffer).map((value) => factor * value);
    tensor.rawData = new Uint8Array(values.buffer);
  }
  return ModelProto.encode(model).finish();
}

/** 12 images in 3 classes: a downstream task of other classes than the file's. */
export async function writeImages(folder: string): Promise<void> {
  const picture = await Deno.readFile(new URL("../fixtures/data_images/colour.png", import.meta.url));
  for (const split of ["train", "val"]) {
    for (const name of ["a", "b", "c"]) {
      await Deno.mkdir(`${folder}/${split}/${name}`, { recursive: true });
      for (let i = 0; i < 4; i++) await Deno.writeFile(`${folder}/${split}/${name}/${i}.png`, picture);
    }
  }
}
