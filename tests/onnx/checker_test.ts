/**
 * Exported classifiers before ONNX's own checker, where `/usr/bin/python3` has the package `onnx`.
 *
 * `tests/bench/results/onnx_checker.md` has what it said of every network.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { checkerVersion, checkFolder, IMPORTED, imported, importedFixture, writeAllWays } from "./checker.ts";
import { unevenWeights } from "./runtime.ts";
import { CLASSES, encode, node, SIZE, smallModel, STORES } from "./small_model.ts";

/** Networks by name: of each way of building them a small one. */
const NAMED = ["resnet20", "resnet18", "squeezenet1_1", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5"];

Deno.test({
  name: "onnx.checker accepts what writeOnnx() writes: kept, folded, split in two files, without a head",
  ignore: await checkerVersion() === undefined,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      for (const encoder of NAMED) {
        const side = encoder === "resnet20" ? 32 : 64;
        const config = { encoder, numClasses: 10, height: side, width: side };
        await writeAllWays(folder, encoder, config, unevenWeights(config));
      }
      for (const key of Object.keys(IMPORTED)) await writeAllWays(folder, key, ...await importedFixture(key));
      await writeAllWays(folder, "half", ...await imported("half", encode(smallModel(17, STORES.half)), SIZE));
      // The checker would say so if something were wrong.
      const broken = smallModel(17);
      broken.graph.node![2] = node("Relu", ["bn", "conv"], ["relu"]);
      broken.graph.output = [{
        name: "logits",
        type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: CLASSES }] } } },
      }];
      await Deno.writeFile(`${folder}/broken.onnx`, encode(broken));

      const said = new Map(await checkFolder(folder)), networks = NAMED.length + Object.keys(IMPORTED).length + 1;
      assertMatch(said.get("broken")!, /^refused: .*node_relu.* input size 2/);
      said.delete("broken");
      assertEquals([...said].filter(([, verdict]) => verdict !== "accepted"), []);
      assertEquals(said.size, 4 * networks);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
