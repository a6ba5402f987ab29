/** Runs `placeImages` on batches, for tests. */

import type { Augmentation, ImageSize } from "../../lib/data/augment.ts";
import { PLACEMENT_PARAMETERS, planPlacements, type SourceSize } from "../../lib/data/augmentation/placements.ts";
import type { WeightTable } from "../../lib/data/augmentation/table.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { placeImages } from "../../lib/ops/place_images.ts";
import { type Operand, runOperation } from "../gpu/harness.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";

/** Scales and shifts under which no byte is rounded in float32. */
export const EXACT_COLOURS: readonly number[] = [1 / 64, -0.5, 2, -1.25, 3, 0.125];

/** What the device does, and to what. */
export interface Placing {
  readonly augmentation: Augmentation;
  /** Of the results. */
  readonly size: ImageSize;
  /** Of the images; that of the results unless given. */
  readonly source?: SourceSize;
  /** Weights of the resizing; the augmentation's unless given. */
  readonly resize?: { readonly horizontal: WeightTable; readonly vertical: WeightTable };
  readonly colours: readonly number[];
}

/** int32 words as the harness uploads them. */
function weightsOperand({ shape, values }: WeightTable): Operand {
  return { value: tensor(shape, new Uint32Array(values.buffer)), layout: "labels" };
}

/** A batch's images [N, H, W, 3] as the device places them. */
export async function placed(
  gpu: Gpu,
  { images, placements }: { readonly images: Uint8Array; readonly placements?: Float32Array },
  { augmentation, size, source = size, colours, ...given }: Placing,
): Promise<Tensor> {
  const { resize: planned, rotate } = planPlacements(augmentation, size, source), resize = given.resize ?? planned;
  const count = placements!.length / PLACEMENT_PARAMETERS;
  // What is behind the boxes must not be seen.
  const room = new Uint8Array(count * source.height * source.width * 3).fill(201);
  room.set(images);
  const { output } = await runOperation(gpu, {
    operands: {
      images: { value: tensor([count, source.height, source.width, 3], room), layout: "bytes" },
      placements: { value: tensor([count, PLACEMENT_PARAMETERS], placements) },
      colours: { value: tensor([6], colours) },
      ...resize && { horizontal: weightsOperand(resize.horizontal), vertical: weightsOperand(resize.vertical) },
    },
    build: (tensors) =>
      placeImages("placed", tensors.images, tensors.placements, tensors.colours, {
        size: { height: size.height, width: size.width },
        resize: resize && {
          horizontal: { weights: tensors.horizontal, firstFrom: resize.horizontal.firstFrom },
          vertical: { weights: tensors.vertical, firstFrom: resize.vertical.firstFrom },
        },
        packed: source.packed,
        rotate,
      }),
  });
  return output;
}
