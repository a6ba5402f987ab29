/**
 * Examples of a stream as pixels.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, AUGMENTATIONS } from "./augment.ts";
import { allocateImages, createImageSet, imageBytes, type ImageSet, type ImageStream } from "./dataset.ts";
import type { PixelCache } from "./pixel_cache.ts";
import { type RenderJob, renderJob } from "./render_job.ts";
import { canStartThreads, PoolUnavailable, RenderPool } from "./render_pool.ts";

/** Sets smaller than this are done before threads have started. */
const WORTH_THREADS = 64;

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
   * Writes examples into `out`, `[keys.length, size, size, 3]`, in order. The bytes do not depend on the threads,
   * nor on the stream's cache.
   *
   * @throws {FormatError} if an image cannot be decoded
   */
  async render(keys: readonly AugmentationKey[], augmentation: Augmentation, out: Uint8Array): Promise<void> {
    const { fit, height, width, locate } = this.#stream;
    const size = imageBytes(1, height, width);
    const jobs = keys.map((key): RenderJob => ({ location: locate(key.example), fit, augmentation, key }));
    try {
      if (this.#pool) {
        this.#decoded += await this.#pool.run(jobs, size, out);
        return;
      }
    } catch (error) {
      if (!(error instanceof PoolUnavailable)) throw error;
      this.#pool = undefined;
    }
    this.#cache ??= this.#stream.cache?.open();
    for (const [row, job] of jobs.entries()) {
      if (await renderJob(job, out, row * size, this.#cache)) this.#decoded++;
    }
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
  await renderer.render(keys, AUGMENTATIONS.none, images);
  return createImageSet({ name, height, width, classNames, labels, images });
}
