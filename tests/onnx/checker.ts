/**
 * ONNX's own checker, where `/usr/bin/python3` has the package `onnx`, and every way in which a network can be exported.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type OnnxExportOptions, writeOnnx } from "../../lib/models/export.ts";
import { type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { NORMALISATION } from "./runtime.ts";

const RECORDED = "functional densenet squeezenet shufflenet mobilenet efficientnet convnext vit swin pieces folded"
  .split(" ");

/** Imported networks: which record each has, and which graph. */
export const IMPORTED: Readonly<Record<string, readonly [name: string, graph?: string]>> = Object.fromEntries([
  ...RECORDED.map((name) => [name, [name]]),
  ...["functional", "vit", "swin"].flatMap((name) => ["opset11", "opset17"].map((way) => [name, way])),
  ...["training12", "training14"].map((way) => ["functional", way]),
].map(([name, way]) => typeof way === "string" ? [`${name}_${way}`, [name, `${name}_${way}`]] : [name, way]));

/** Prints each file's name and what is wrong with it: types and shapes are inferred as well. */
const SCRIPT = `
import pathlib, sys, onnx
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    try:
        onnx.checker.check_model(str(path), full_check=True)
        print(path.stem, "accepted")
    except Exception as error:
        print(path.stem, "refused:", str(error).split("\\n")[0])
`;

async function python(script: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("/usr/bin/python3", { args: ["-c", script, ...args] }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined;
  }
}

/** Version of the package, where there is one. */
export async function checkerVersion(): Promise<string | undefined> {
  return await python("import onnx; print(onnx.__version__)");
}

/** What the checker says of each file of a folder, by the file's name without its ending. */
export async function checkFolder(folder: string): Promise<ReadonlyMap<string, string>> {
  const lines = (await python(SCRIPT, folder))!.split("\n");
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]));
}

/** A network of a file with the file's weights. */
export async function imported(name: string, bytes: Uint8Array, size: number): Promise<[ClassifierConfig, Weights]> {
  const network = onnxNetwork(await readOnnxModel(bytes, name));
  const config = { encoder: name, network, numClasses: network.head.numClasses, height: size, width: size };
  const stored = weightsOf(network.model, network.head);
  return [config, weightsFromStateDict(layoutModel(config), stored, { head: "require", seed: 0 })];
}

/** One of {@linkcode IMPORTED}. */
export async function importedFixture(key: string): Promise<[ClassifierConfig, Weights]> {
  const { bytes, size } = await readOnnxFixture(...IMPORTED[key]);
  return await imported(key, bytes, size);
}

/** Writes a network in every way in which it can be exported. */
export async function writeAllWays(
  folder: string,
  name: string,
  config: ClassifierConfig,
  weights: Weights,
): Promise<void> {
  // Just too large for one file, except a network without large tensors.
  const maxBytes = Math.max(10_000, writeOnnx(config, weights).model.length - 1);
  const ways: Record<string, OnnxExportOptions> = {
    kept: {},
    folded: { fold: true, normalisation: NORMALISATION, normaliseInput: true },
    split: { dataName: `${name}_split.onnx.data`, maxBytes },
  };
  for (const [way, options] of Object.entries(ways)) {
    const { model, data } = writeOnnx(config, weights, options);
    await Deno.writeFile(`${folder}/${name}_${way}.onnx`, model);
    assertEquals(data !== undefined, way === "split" && maxBytes > 10_000);
    if (data !== undefined) await Deno.writeFile(`${folder}/${name}_${way}.onnx.data`, data);
  }
  const { backbone, state } = weights;
  await Deno.writeFile(`${folder}/${name}_features.onnx`, writeOnnx(config, { backbone, state }).model);
}
