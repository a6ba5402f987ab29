/**
 * SqueezeNet (Iandola et al., arXiv 1602.07360) 1.0 and 1.1.
 *
 * @module
 */

import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { type Initial, uniform } from "../initial.ts";

/** A module of `features`: a pool, or the channels of a fire module, squeezed and of each half expanded. */
type Module = "pool" | readonly [squeezed: number, expanded: number];

interface Version {
  readonly stem: { readonly out: number; readonly kernel: number };
  /** From `features.2` on. */
  readonly modules: readonly Module[];
}

const VERSIONS: Readonly<Record<"1_0" | "1_1", Version>> = {
  "1_0": {
    stem: { out: 96, kernel: 7 },
    modules: [
      "pool",
      [16, 64],
      [16, 64],
      [32, 128],
      "pool",
      [32, 128],
      [48, 192],
      [48, 192],
      [64, 256],
      "pool",
      [64, 256],
    ],
  },
  "1_1": {
    stem: { out: 64, kernel: 3 },
    modules: [
      "pool",
      [16, 64],
      [16, 64],
      "pool",
      [32, 128],
      [32, 128],
      "pool",
      [48, 192],
      [48, 192],
      [64, 256],
      [64, 256],
    ],
  },
};

/** He et al., uniform (fan in). */
function heIn(input: Value, kernel: number): Initial {
  return uniform(Math.sqrt(6 / (input.shape[0] * kernel ** 2)));
}

/** A convolution with a bias and a rectifier. */
function rectified(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  layer: { readonly out: number; readonly kernel: number; readonly stride?: number; readonly padding?: number },
): Value {
  const convolved = builder.conv(name, input, { ...layer, bias: true, initial: heIn(input, layer.kernel) });
  return builder.relu(`${name}.activation`, convolved);
}

function fire(builder: NetworkBuilder, name: string, input: Value, [squeezed, expanded]: readonly [number, number]) {
  const x = rectified(builder, `${name}.squeeze`, input, { out: squeezed, kernel: 1 });
  const narrow = rectified(builder, `${name}.expand1x1`, x, { out: expanded, kernel: 1 });
  const wide = rectified(builder, `${name}.expand3x3`, x, { out: expanded, kernel: 3, padding: 1 });
  return builder.concat(`${name}.concat`, [narrow, wide]);
}

/** One of the versions: its logits, which are averages over an image of logits. */
export function squeezenet(version: "1_0" | "1_1"): Architecture {
  return (builder, numClasses) => {
    const { stem, modules } = VERSIONS[version];
    let x = rectified(builder, "features.0", builder.images, { ...stem, stride: 2 });
    modules.forEach((module, i) => {
      const name = `features.${i + 2}`;
      x = module === "pool"
        ? builder.maxPool(name, x, { kernel: 3, stride: 2, ceil: true })
        : fire(builder, name, x, module);
    });
    const logits = builder.conv("classifier.1", x, { out: numClasses, kernel: 1, bias: true });
    return builder.flatten("flatten", builder.globalAveragePool("classifier.3", builder.relu("classifier.2", logits)));
  };
}
