/** A network beyond what one protobuf message holds. It takes 12 GB of memory: only where `SWAGPU_LARGE` is set. */

import { assert, assertEquals } from "@std/assert";
import { layoutModel } from "../../lib/models/device_model.ts";
import { writeOnnx } from "../../lib/models/export.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";

/** A number of each place, cheap enough for 632 million. */
function patterned(count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = (Math.imul(i, 2654435761) >>> 8) / 2 ** 24 - 0.5;
  return values;
}

Deno.test({
  name: "vit_h_14, 2.5 GB, becomes a graph and a file of its tensors, and is read back",
  ignore: Deno.env.get("SWAGPU_LARGE") === undefined,
  async fn() {
    const config = { encoder: "vit_h_14", numClasses: 10, height: 224, width: 224 };
    const { backbone, head, state } = layoutModel(config);
    const weights = {
      backbone: patterned(backbone.count),
      head: patterned(head.count),
      state: new Float32Array(state.count),
    };
    const { model, data } = writeOnnx(config, weights);
    assert(data !== undefined && data.length > 2 ** 31 && model.length < 2 ** 20, `${model.length}, ${data?.length}`);
    const asked: string[] = [];
    const read = await readOnnxModel(model, "vit_h_14", (location) => {
      asked.push(location);
      return Promise.resolve(data!);
    });
    assertEquals(asked, ["model.onnx.data"]);
    assertEquals(onnxNetwork(read).head.numClasses, 10);
    for (const layout of [backbone, head]) {
      const values = layout === backbone ? weights.backbone : weights.head;
      for (const { name, torchOffset, size } of layout.entries) {
        const found = read.initialisers.get(name)?.data as Float32Array | undefined;
        assertEquals(found?.length, size, name);
        for (const at of [0, size >> 1, size - 1]) assertEquals(found![at], values[torchOffset + at], name);
      }
    }
  },
});
