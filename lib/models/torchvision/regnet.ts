/**
 * RegNet (Radosavovic et al., arXiv 2003.13678), X and Y.
 *
 * @module
 */

import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { convNorm, makeDivisible, pooledHead, squeezeExcitation } from "./layers.ts";

/** Blocks, first width, slope, ratio of widths, width of a group. */
type Parameters = readonly [depth: number, first: number, slope: number, ratio: number, group: number];

/** The published parameters; those of Y squeeze channels. */
const CONFIGS = {
  x_400mf: [22, 24, 24.48, 2.54, 16],
  x_800mf: [16, 56, 35.73, 2.28, 16],
  x_1_6gf: [18, 80, 34.01, 2.25, 24],
  x_3_2gf: [25, 88, 26.31, 2.25, 48],
  x_8gf: [23, 80, 49.56, 2.88, 120],
  x_16gf: [22, 216, 55.59, 2.1, 128],
  x_32gf: [23, 320, 69.86, 2.0, 168],
  y_400mf: [16, 48, 27.89, 2.09, 8],
  y_800mf: [14, 56, 38.84, 2.4, 16],
  y_1_6gf: [27, 48, 20.71, 2.65, 24],
  y_3_2gf: [21, 80, 42.63, 2.66, 24],
  y_8gf: [17, 192, 76.82, 2.19, 56],
  y_16gf: [18, 200, 106.23, 2.48, 112],
  y_32gf: [20, 232, 115.89, 2.53, 232],
} as const satisfies Record<string, Parameters>;
const STEM = 32;
/** Channels that squeezing leaves, over those of a block's input. */
const SQUEEZE = 0.25;

/** Names of the published ones. */
export const REGNETS = Object.keys(CONFIGS) as (keyof typeof CONFIGS)[];

/** The integer next to a number; of two the even one, as `torch.round`. */
function round(x: number): number {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

/** Width, blocks and width of a group of each stage: widths grow linearly, and are rounded to powers of the ratio. */
function stagesOf([depth, first, slope, ratio, group]: Parameters) {
  const stages: { width: number; blocks: number }[] = [];
  for (let i = 0; i < depth; i++) {
    const power = round(Math.log((first + slope * i) / first) / Math.log(ratio));
    const width = round(first * ratio ** power / 8) * 8;
    const last = stages.at(-1);
    if (last?.width === width) last.blocks++;
    else stages.push({ width, blocks: 1 });
  }
  return stages.map(({ width, blocks }) => {
    const perGroup = Math.min(group, width);
    return { width: makeDivisible(width, perGroup), blocks, group: perGroup };
  });
}

function block(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  { out, stride, groups, squeeze }: { out: number; stride: number; groups: number; squeeze: boolean },
): Value {
  const channels = input.shape[0];
  const shortcut = channels === out && stride === 1
    ? input
    : convNorm(builder, `${name}.proj`, input, { out, kernel: 1, stride });
  let x = convNorm(builder, `${name}.f.a`, input, { out, kernel: 1, activation: "relu" });
  x = convNorm(builder, `${name}.f.b`, x, { out, kernel: 3, stride, groups, activation: "relu" });
  if (squeeze) {
    const squeezed = round(SQUEEZE * channels);
    x = squeezeExcitation(builder, `${name}.f.se`, x, { squeezed, activation: "relu", gate: "sigmoid" });
  }
  x = convNorm(builder, `${name}.f.c`, x, { out, kernel: 1 });
  return builder.relu(`${name}.activation`, builder.add(`${name}.add`, shortcut, x));
}

/** One of the family: its logits. */
export function regnet(size: keyof typeof CONFIGS): Architecture {
  const stages = stagesOf(CONFIGS[size]), squeeze = size.startsWith("y");
  return (builder, numClasses) => {
    let x = convNorm(builder, "stem", builder.images, { out: STEM, kernel: 3, stride: 2, activation: "relu" });
    stages.forEach(({ width, blocks, group }, stage) => {
      for (let i = 0; i < blocks; i++) {
        const name = `trunk_output.block${stage + 1}.block${stage + 1}-${i}`;
        x = block(builder, name, x, { out: width, stride: i === 0 ? 2 : 1, groups: width / group, squeeze });
      }
    });
    return pooledHead(builder, "fc", x, numClasses);
  };
}
