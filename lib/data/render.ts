/**
 * Examples of a stream as pixels.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, AUGMENTATIONS } from "./augment.ts";
import type { ViewKey } from "./augmentation/draw.ts";
import { writePlacement } from "./augmentation/placements.ts";
import type { View, ViewDraw } from "./augmentation/view.ts";
import { allocateImages, createImageSet, type ImageSet, type ImageStream } from "./dataset.ts";
import type { PixelCache } from "./pixel_cache.ts";
import {
  type Piece,
  type PlacementJob,
  type RenderedOf,
  type RenderJob,
  renderJob,
  type ViewJob,
} from "./render_job.ts";
import { canStartThreads, PoolUnavailable, RenderPool } from "./render_pool.ts";

/** Sets smaller than this are done before threads have started. */
const WORTH_THREADS = 64;
/** Jobs handed to a thread at once: enough to hide the messages, few enough to spread a batch. */
const CHUNK = 4;

/** Where examples are written. */
export interface RenderTarget {
  /** Their pixels, one example behind another. */
  readonly images: Uint8Array;
  /** `[examples, PLACEMENT_PARAMETERS]`: what is left to the device; nowhere unless given. */
  readonly placements?: Float32Array;
}

/** Receives what becomes of the example of a row, in order. */
type Receive<Job extends RenderJob> = (rendered: RenderedOf<Job>, row: number) => void;

/** Makes examples' pixels; to be disposed of after use. */
export class Renderer implements Disposable {
  readonly #stream: ImageStream;
  #pool: RenderPool | undefined;
  #cache: PixelCache | undefined;
  #decoded = 0;

  /** @param threads threads to decode on; default by the size of the set, 0: this one */
  constructor(stream: ImageStream, threads?: number) {
    this.#stream = stream;
    const wanted = threads ?? (stream.labels.length < WORTH_THREADS ? 0 : undefined);
    if (wanted !== 0 && canStartThreads(stream.cache?.worker)) this.#pool = new RenderPool(wanted, stream.cache);
  }

  /** Files decoded so far; those that the stream's cache knew are not among them. */
  get decoded(): number {
    return this.#decoded;
  }

  /**
   * Writes examples, in order: prepared for their augmentation, or the box of each that is cut out of the whole image, as
   * `cutBox` says. The bytes do not depend on the threads, nor on the stream's cache.
   *
   * @returns how many bytes of pixels there are
   * @throws {FormatError} if an image cannot be decoded
   */
  async render(
    keys: readonly AugmentationKey[],
    augmentation: Augmentation,
    { images, placements }: RenderTarget,
  ): Promise<number> {
    const { fit, locate } = this.#stream;
    const jobs = keys.map((key): PlacementJob => ({ location: locate(key.example), fit, augmentation, key }));
    let bytes = 0;
    await this.#carryOut(jobs, ({ pieces: [{ image, draw }] }, row) => {
      const firstByte = row === 0 ? 0 : bytes, { height, width, rgb } = image, box = { left: 0, top: 0, height, width };
      images.set(rgb, firstByte);
      if (placements) writePlacement(placements, row, { firstByte, box, prepared: image, placement: draw });
      bytes = firstByte + rgb.length;
    });
    return bytes;
  }

  /**
   * Hands over the boxes of examples' views, cut out of whole images as `cutBox` says, in order. Where threads turn out
   * not to be available, it begins again with row 0.
   *
   * @throws {FormatError} if an image cannot be decoded
   */
  async renderViews(
    views: readonly View[],
    keys: readonly Omit<ViewKey, "view">[],
    receive: (pieces: readonly Piece<ViewDraw>[], row: number) => void,
  ): Promise<void> {
    const { locate } = this.#stream;
    const jobs = keys.map((key): ViewJob => ({ location: locate(key.example), views, key: { ...key, view: 0 } }));
    await this.#carryOut(jobs, ({ pieces }, row) => receive(pieces, row));
  }

  async #carryOut<Job extends RenderJob>(jobs: readonly Job[], receive: Receive<Job>): Promise<void> {
    try {
      await this.#receiveAll(jobs, receive);
    } catch (error) {
      if (!(error instanceof PoolUnavailable)) throw error;
      this.#pool = undefined;
      await this.#receiveAll(jobs, receive);
    }
  }

  async #receiveAll<Job extends RenderJob>(jobs: readonly Job[], receive: Receive<Job>): Promise<void> {
    let row = 0, decodedFiles = 0;
    for await (const few of this.#results(jobs)) {
      for (const rendered of few) {
        receive(rendered, row++);
        if (rendered.decoded) decodedFiles++;
      }
    }
    this.#decoded += decodedFiles;
  }

  /** The results in order, a few at a time. */
  async *#results<Job extends RenderJob>(jobs: readonly Job[]): AsyncGenerator<readonly RenderedOf<Job>[], void> {
    const pool = this.#pool;
    if (pool === undefined) {
      this.#cache ??= this.#stream.cache?.open();
      for (const job of jobs) yield [await renderJob(job, this.#cache)];
      return;
    }
    const results: Promise<readonly RenderedOf<Job>[]>[] = [];
    for (let first = 0; first < jobs.length; first += CHUNK) results.push(pool.run(jobs.slice(first, first + CHUNK)));
    // Those behind one that fails are not waited for, and their errors are nobody's.
    for (const result of results) result.catch(() => {});
    // What is written is let go.
    for (let next = results.shift(); next !== undefined; next = results.shift()) yield await next;
  }

  /** Ends the threads. */
  [Symbol.dispose](): void {
    this.#pool?.[Symbol.dispose]();
  }
}

/**
 * All examples of a stream, fitted, in memory.
 *
 * @throws {RangeError} if the images would take more memory than allowed
 */
export async function holdStream(stream: ImageStream, memoryLimit?: number): Promise<ImageSet> {
  const { name, height, width, classNames, labels } = stream;
  const images = allocateImages(name, labels.length, height, width, memoryLimit);
  using renderer = new Renderer(stream);
  const keys = Array.from(labels, (_, example) => ({ seed: 0, epoch: 0, example }));
  await renderer.render(keys, AUGMENTATIONS.none, { images });
  return createImageSet({ name, height, width, classNames, labels, images });
}
