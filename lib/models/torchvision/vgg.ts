/**
 * VGG (Simonyan and Zisserman, arXiv 1409.1556), with and without BatchNorm.
 *
 * @module
 */

import type { Architecture } from "./builder.ts";
import { normal } from "../initial.ts";

/** Convolutions of each stage, by the number of layers with weights. */
const STAGES: Readonly<Record<number, readonly number[]>> = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
};
const CHANNELS = [64, 128, 256, 512, 512];
const POSITIONS = 7, WIDTH = 4096;

/** One of the family: logits of a network of `depth` layers with weights. */
export function vgg(depth: number, norm: boolean): Architecture {
  return (builder, numClasses) => {
    let x = builder.images, index = 0;
    STAGES[depth].forEach((count, stage) => {
      for (let i = 0; i < count; i++) {
        const layer = { out: CHANNELS[stage], kernel: 3, padding: 1, bias: true };
        x = builder.conv(`features.${index++}`, x, layer);
        if (norm) x = builder.batchNorm(`features.${index++}`, x);
        x = builder.relu(`features.${index++}`, x);
      }
      x = builder.maxPool(`features.${index++}`, x, { kernel: 2, stride: 2 });
    });
    x = builder.flatten("flatten", builder.adaptiveAveragePool("avgpool", x, POSITIONS));
    const linear = (at: number, out: number) => builder.linear(`classifier.${at}`, x, { out, initial: normal(0.01) });
    for (const at of [0, 3]) x = builder.relu(`classifier.${at + 1}`, linear(at, WIDTH));
    return builder.head("classifier.6", x, numClasses);
  };
}
