/**
 * MobileNetV3 (Howard et al., arXiv 1905.02244).
 *
 * @module
 */

import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { normal } from "../initial.ts";
import { convNorm, makeDivisible, squeezeExcitation } from "./layers.ts";

/** Kernel, channels within, channels out, whether channels are squeezed, activation, stride. */
type Block = readonly [
  kernel: number,
  wide: number,
  out: number,
  squeeze: boolean,
  activation: "RE" | "HS",
  stride: number,
];

interface MobileNetConfig {
  readonly blocks: readonly Block[];
  /** Of the layer before the head. */
  readonly width: number;
}

const CONFIGS: Readonly<Record<"large" | "small", MobileNetConfig>> = {
  large: {
    blocks: [
      [3, 16, 16, false, "RE", 1],
      [3, 64, 24, false, "RE", 2],
      [3, 72, 24, false, "RE", 1],
      [5, 72, 40, true, "RE", 2],
      [5, 120, 40, true, "RE", 1],
      [5, 120, 40, true, "RE", 1],
      [3, 240, 80, false, "HS", 2],
      [3, 200, 80, false, "HS", 1],
      [3, 184, 80, false, "HS", 1],
      [3, 184, 80, false, "HS", 1],
      [3, 480, 112, true, "HS", 1],
      [3, 672, 112, true, "HS", 1],
      [5, 672, 160, true, "HS", 2],
      [5, 960, 160, true, "HS", 1],
      [5, 960, 160, true, "HS", 1],
    ],
    width: 1280,
  },
  small: {
    blocks: [
      [3, 16, 16, true, "RE", 2],
      [3, 72, 24, false, "RE", 2],
      [3, 88, 24, false, "RE", 1],
      [5, 96, 40, true, "HS", 2],
      [5, 240, 40, true, "HS", 1],
      [5, 240, 40, true, "HS", 1],
      [5, 120, 48, true, "HS", 1],
      [5, 144, 48, true, "HS", 1],
      [5, 288, 96, true, "HS", 2],
      [5, 576, 96, true, "HS", 1],
      [5, 576, 96, true, "HS", 1],
    ],
    width: 1024,
  },
};
const STEM = 16, NORM = { eps: 1e-3, momentum: 0.01 };
/** Channels of the last convolution, in those of the last block. */
const LAST = 6;
/** Channels within over those that squeezing leaves. */
const SQUEEZE = 4;

function block(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  [kernel, wide, out, squeeze, kind, stride]: Block,
): Value {
  const activation = kind === "HS" ? "hardSwish" : "relu";
  let x = input, index = 0;
  const next = () => `${name}.block.${index++}`;
  if (wide !== input.shape[0]) x = convNorm(builder, next(), x, { out: wide, kernel: 1, norm: NORM, activation });
  x = convNorm(builder, next(), x, { out: wide, kernel, stride, groups: wide, norm: NORM, activation });
  if (squeeze) {
    const squeezed = makeDivisible(Math.floor(wide / SQUEEZE));
    x = squeezeExcitation(builder, next(), x, { squeezed, activation: "relu", gate: "hardSigmoid" });
  }
  x = convNorm(builder, next(), x, { out, kernel: 1, norm: NORM });
  return stride === 1 && input.shape[0] === out ? builder.add(`${name}.add`, x, input) : x;
}

/** One of the two: its logits. */
export function mobilenetV3(size: "large" | "small"): Architecture {
  const { blocks, width } = CONFIGS[size];
  return (builder, numClasses) => {
    const stem = { out: STEM, kernel: 3, stride: 2, norm: NORM, activation: "hardSwish" } as const;
    let x = convNorm(builder, "features.0", builder.images, stem);
    blocks.forEach((each, i) => x = block(builder, `features.${i + 1}`, x, each));
    const last = { out: LAST * x.shape[0], kernel: 1, norm: NORM, activation: "hardSwish" } as const;
    x = convNorm(builder, `features.${blocks.length + 1}`, x, last);
    x = builder.flatten("flatten", builder.globalAveragePool("avgpool", x));
    x = builder.linear("classifier.0", x, { out: width, initial: normal(0.01) });
    return builder.head("classifier.3", builder.hardSwish("classifier.1", x), numClasses);
  };
}
