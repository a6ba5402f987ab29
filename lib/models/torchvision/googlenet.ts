/**
 * GoogLeNet (Szegedy et al., arXiv 1409.4842) with BatchNorm and without its auxiliary classifiers.
 *
 * @module
 */

import type { NetworkBuilder, Value, WindowLayer } from "./builder.ts";
import { normal } from "../initial.ts";
import { pooledHead } from "./layers.ts";
import { forInceptionScale } from "./inception_v3.ts";

/** Channels of a module's branches: 1x1, 3x3 and what is before it, the second 3x3 and what is before it, after the pool. */
type Branches = readonly [number, number, number, number, number, number];

const MODULES: readonly (readonly [name: string, branches: Branches] | readonly [name: string, pool: number])[] = [
  ["inception3a", [64, 96, 128, 16, 32, 32]],
  ["inception3b", [128, 128, 192, 32, 96, 64]],
  ["maxpool3", 3],
  ["inception4a", [192, 96, 208, 16, 48, 64]],
  ["inception4b", [160, 112, 224, 24, 64, 64]],
  ["inception4c", [128, 128, 256, 24, 64, 64]],
  ["inception4d", [112, 144, 288, 32, 64, 64]],
  ["inception4e", [256, 160, 320, 32, 128, 128]],
  ["maxpool4", 2],
  ["inception5a", [256, 160, 320, 32, 128, 128]],
  ["inception5b", [384, 192, 384, 48, 128, 128]],
];

function conv(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  layer: WindowLayer & { readonly out: number },
): Value {
  const x = builder.conv(`${name}.conv`, input, { ...layer, initial: normal(0.01) });
  return builder.relu(`${name}.relu`, builder.batchNorm(`${name}.bn`, x, { eps: 1e-3 }));
}

function inception(builder: NetworkBuilder, name: string, input: Value, branches: Branches): Value {
  const [one, before3, three, before5, five, pooled] = branches;
  const wide = (at: string, x: Value, out: number) => conv(builder, `${name}.${at}`, x, { out, kernel: 3, padding: 1 });
  const narrow = (at: string, x: Value, out: number) => conv(builder, `${name}.${at}`, x, { out, kernel: 1 });
  return builder.concat(`${name}.concat`, [
    narrow("branch1", input, one),
    wide("branch2.1", narrow("branch2.0", input, before3), three),
    // The paper's kernel is 5; torchvision's weights are for 3.
    wide("branch3.1", narrow("branch3.0", input, before5), five),
    narrow(
      "branch4.1",
      builder.maxPool(`${name}.branch4.0`, input, { kernel: 3, stride: 1, padding: 1, ceil: true }),
      pooled,
    ),
  ]);
}

/** The network's logits. */
export function googlenet(builder: NetworkBuilder, numClasses: number): Value {
  const pool = (name: string, input: Value, kernel: number) =>
    builder.maxPool(name, input, { kernel, stride: 2, ceil: true });
  let x = conv(builder, "conv1", forInceptionScale(builder), { out: 64, kernel: 7, stride: 2, padding: 3 });
  x = conv(builder, "conv2", pool("maxpool1", x, 3), { out: 64, kernel: 1 });
  x = pool("maxpool2", conv(builder, "conv3", x, { out: 192, kernel: 3, padding: 1 }), 3);
  for (const [name, module] of MODULES) {
    x = typeof module === "number" ? pool(name, x, module) : inception(builder, name, x, module);
  }
  return pooledHead(builder, "fc", x, numClasses);
}
