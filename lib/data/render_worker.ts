/**
 * A thread that carries out render jobs; started by `render_pool.ts`.
 *
 * @module
 */

import type { RenderReply, RenderRequest } from "./render_pool.ts";
import { renderJob } from "./render_job.ts";

/** What a dedicated worker's global scope has; the library's types are those of the main thread. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<RenderRequest>) => void) | null;
  postMessage(reply: RenderReply, transfer?: Transferable[]): void;
}

const scope = self as unknown as WorkerScope;

scope.onmessage = async ({ data: { id, jobs, size } }) => {
  const pixels = new Uint8Array(jobs.length * size);
  try {
    for (const [row, job] of jobs.entries()) await renderJob(job, pixels, row * size);
    scope.postMessage({ id, pixels }, [pixels.buffer]);
  } catch (error) {
    const { name, message } = error as Error;
    scope.postMessage({ id, error: { name, message } });
  }
};
