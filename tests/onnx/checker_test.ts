/**
 * Exported classifiers before ONNX's own checker, where `/usr/bin/python3` has the package `onnx`.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type OnnxExportOptions, writeOnnx } from "../../lib/models/export.ts";
import { type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { NORMALISATION, unevenWeights } from "./runtime.ts";
import { CLASSES, encode, node, SIZE, smallModel, STORES } from "./small_model.ts";

const IMPORTED = ["functional", "densenet", "squeezenet", "mobilenet", "convnext", "vit", "swin", "pieces"];
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
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined;
  }
}

const ONNX = await python("import onnx") !== undefined;

async function imported(name: string, bytes: Uint8Array, size: number): Promise<[ClassifierConfig, Weights]> {
  const network = onnxNetwork(await readOnnxModel(bytes, name));
  const config = { encoder: name, network, numClasses: network.head.numClasses, height: size, width: size };
  const stored = weightsOf(network.model, network.head);
  return [config, weightsFromStateDict(layoutModel(config), stored, { head: "require", seed: 0 })];
}

/** Writes a network in every way in which it can be exported. */
async function writeAll(folder: string, name: string, config: ClassifierConfig, weights: Weights): Promise<void> {
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

Deno.test({
  name: "onnx.checker accepts what writeOnnx() writes: kept, folded, split in two files, without a head",
  ignore: !ONNX,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const config = { encoder: "resnet20", numClasses: 10, height: 32, width: 32 };
      await writeAll(folder, "resnet20", config, unevenWeights(config));
      for (const name of IMPORTED) {
        const { bytes, size } = await readOnnxFixture(name);
        await writeAll(folder, name, ...await imported(name, bytes, size));
      }
      await writeAll(folder, "half", ...await imported("half", encode(smallModel(17, STORES.half)), SIZE));
      // The checker would say so if something were wrong.
      const broken = smallModel(17);
      broken.graph.node![2] = node("Relu", ["bn", "conv"], ["relu"]);
      broken.graph.output = [{
        name: "logits",
        type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: CLASSES }] } } },
      }];
      await Deno.writeFile(`${folder}/broken.onnx`, encode(broken));

      const lines = (await python(SCRIPT, folder))!.trim().split("\n");
      assertMatch(lines.find((line) => line.startsWith("broken "))!, /refused: .*node_relu.* input size 2/);
      const accepted = lines.filter((line) => line.endsWith(" accepted"));
      assertEquals([lines.length, accepted.length], [1 + 4 * 10, 4 * 10], lines.join("\n"));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
