/**
 * Draws of views: a function of (seed, step, example, view), so that a resumed run sees the same images.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../../random/philox.ts";
import { drawBox, type ImageSize } from "../augment.ts";
import type { ColourChange, ColourJitter, View, ViewDraw, ViewWindow } from "./view.ts";

/** Views of an image that the counter has room for. */
export const MOST_VIEWS = 16;

/** Which draw. */
export interface ViewKey {
  /** Seed of the run. */
  readonly seed: number;
  /** Step of the run, from 0. */
  readonly step: number;
  /** Index of the example in its set. */
  readonly example: number;
  /** Number of the view, from 0 to {@linkcode MOST_VIEWS} - 1. */
  readonly view: number;
}

const CHANGES = ["brightness", "contrast", "saturation", "hue"] as const;

/** Draws what becomes of an image of that size. */
export function drawView(config: View, size: ImageSize, { seed, step, example, view }: ViewKey): ViewDraw {
  const random = new PhiloxSequence(seed, Stream.view, step, example * MOST_VIEWS + view);
  const { resize, rotation, blur, solarise } = config;
  const happens = (probability = 0) => random.uniform() < probability;
  const within = ([least, most]: readonly [number, number]) => least + (most - least) * random.uniform();
  const box = resize?.kind === "random-resized-crop"
    ? drawBox(size, resize.scale, resize.ratio, random)
    : { left: 0, top: 0, ...size };
  const angle = rotation ? within([-rotation.degrees, rotation.degrees]) : 0;
  const resized = resize?.kind === "whole" ? resize : resize ? config : size;
  const window = config.window ?? { kind: "centre" };
  return {
    box,
    angle,
    left: drawOffset(window, resized.width, config.width, random),
    top: drawOffset(window, resized.height, config.height, random),
    horizontalFlip: happens(config.horizontalFlip),
    verticalFlip: happens(config.verticalFlip),
    changes: config.jitter && happens(config.jitter.probability) ? drawChanges(config.jitter, random) : [],
    grey: happens(config.grey),
    sigma: blur && happens(blur.probability) ? within(blur.sigma) : 0,
    threshold: solarise && happens(solarise.probability) ? solarise.threshold : undefined,
  };
}

/** torchvision's: a random order of the four changes. */
function drawChanges(jitter: ColourJitter, random: PhiloxSequence): ColourChange[] {
  return random.shuffle([...CHANGES]).map((kind) => {
    const bound = jitter[kind], turn = 2 * random.uniform() - 1;
    if (kind === "hue") return { kind, factor: bound * turn };
    const least = Math.max(0, 1 - bound);
    return { kind, factor: least + (1 + bound - least) * (turn + 1) / 2 };
  });
}

/** The first row or column of a window. */
function drawOffset(window: ViewWindow, from: number, to: number, random: PhiloxSequence): number {
  if (window.kind === "centre") return centreOffset(from, to);
  const places = from + 2 * window.padding - to + 1;
  if (places < 1) {
    throw new RangeError(
      `Cannot cut ${to} pixels out of ${from} with a padding of ${window.padding}: a smaller window is required`,
    );
  }
  return random.below(places) - window.padding;
}

/** torchvision's centre crop: halves are rounded to even; a window beyond the image has the odd pixel at its end. */
export function centreOffset(from: number, to: number): number {
  if (to > from) return -Math.floor((to - from) / 2);
  const half = (from - to) / 2, whole = Math.floor(half);
  return half === whole || whole % 2 === 0 ? whole : whole + 1;
}
