/**
 * What a thread does that carries out render jobs; started by `render_pool.ts`.
 *
 * @module
 */

import type { PixelCache } from "./pixel_cache.ts";
import type { RenderReply, RenderRequest } from "./render_pool.ts";
import { type Rendered, renderJob } from "./render_job.ts";

/** What a dedicated worker's global scope has; the library's types are those of the main thread. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<RenderRequest>) => void) | null;
  postMessage(reply: RenderReply, transfer?: Transferable[]): void;
}

/**
 * Makes this thread, a module worker, one that carries out render jobs.
 *
 * @param openCache opens the cache of decoded images by its settings, once
 */
export function serveRenderJobs(openCache?: (settings: unknown) => PixelCache): void {
  const scope = self as unknown as WorkerScope;
  let cache: PixelCache | undefined;
  scope.onmessage = async ({ data: { id, jobs, cacheSettings } }) => {
    try {
      cache ??= openCache?.(cacheSettings);
      const rendered: Rendered[] = [];
      for (const job of jobs) rendered.push(await renderJob(job, cache));
      const pieces = rendered.flatMap(({ pieces }) => pieces);
      scope.postMessage({ id, rendered }, pieces.map(({ image }) => image.rgb.buffer as ArrayBuffer));
    } catch (error) {
      const { name, message } = error as Error;
      scope.postMessage({ id, error: { name, message } });
    }
  };
}
