/**
 * A view: how an image is changed at random before a network sees it, in torchvision's terms and order: resize, rotate,
 * cut out a window, flip, jitter colours, grey, blur, solarise.
 *
 * @module
 */

import type { Filter } from "../resample_weights.ts";

/** Which part of an image is resized to which size. */
export type ViewResize =
  /** A window of random area (a share of the image within `scale`) and aspect ratio, to the view's own size. */
  | {
    readonly kind: "random-resized-crop";
    readonly scale: readonly [number, number];
    readonly ratio: readonly [number, number];
    readonly filter: Filter;
  }
  /** The whole image. */
  | { readonly kind: "whole"; readonly height: number; readonly width: number; readonly filter: Filter };

/** Where the view's window lies in the (resized) image. */
export type ViewWindow =
  | { readonly kind: "centre" }
  /** Anywhere in the image with `padding` black pixels on every side. */
  | { readonly kind: "random"; readonly padding: number };

/** Random changes of colour; a bound b stands for factors from max(0, 1 - b) to 1 + b, of hue for -b to b turns. */
export interface ColourJitter {
  /** Share of the images that are changed at all. */
  readonly probability: number;
  /** Bound of the factor of every pixel. */
  readonly brightness: number;
  /** Bound of the factor of the distance from the image's mean luminance. */
  readonly contrast: number;
  /** Bound of the factor of the distance from a pixel's own luminance. */
  readonly saturation: number;
  /** Bound of the turn of the colour circle, at most 0.5. */
  readonly hue: number;
}

/** What one view of an image goes through; what is absent does not happen. */
export interface View {
  /** Rows of the result. */
  readonly height: number;
  /** Columns of the result. */
  readonly width: number;
  /** Default: the image keeps its size. */
  readonly resize?: ViewResize;
  /** By an angle between -degrees and degrees. */
  readonly rotation?: { readonly degrees: number; readonly interpolation: "nearest" | "bilinear" };
  /** Default: the centre. */
  readonly window?: ViewWindow;
  /** Share of the images that are mirrored left to right. */
  readonly horizontalFlip?: number;
  /** Share of the images that are mirrored top to bottom. */
  readonly verticalFlip?: number;
  /** Brightness, contrast, saturation and hue, in a random order. */
  readonly jitter?: ColourJitter;
  /** Share of the images that lose their colour. */
  readonly grey?: number;
  /** A Gaussian of a standard deviation within `sigma`, in pixels. */
  readonly blur?: {
    readonly probability: number;
    readonly kernel: number;
    readonly sigma: readonly [number, number];
  };
  /** Inverts what is at or above the threshold, 0 to 1. */
  readonly solarise?: { readonly probability: number; readonly threshold: number };
}

/** What becomes of one image: a draw of a {@linkcode View}. */
export interface ViewDraw {
  /** Part of the image that is resized; where nothing is, the whole. */
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** First column and row of the window in the (resized) image; negative in the padding. */
  readonly left: number;
  readonly top: number;
  readonly horizontalFlip: boolean;
  readonly verticalFlip: boolean;
  /** In degrees, counter-clockwise. */
  readonly angle: number;
  /** Changes of colour in their order; a factor of 1 or a turn of 0 changes nothing. */
  readonly changes: readonly ColourChange[];
  readonly grey: boolean;
  /** Standard deviation of the blur; 0: none. */
  readonly sigma: number;
  /** Solarisation's threshold; absent: none. */
  readonly threshold?: number;
}

/** One change of colour. */
export interface ColourChange {
  readonly kind: "brightness" | "contrast" | "saturation" | "hue";
  readonly factor: number;
}
