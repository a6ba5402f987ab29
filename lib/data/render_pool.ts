/**
 * Threads that decode images while the device computes.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { SharedPixelCache } from "./pixel_cache.ts";
import type { Rendered, RenderedOf, RenderJob } from "./render_job.ts";

/** Jobs for a thread. */
export interface RenderRequest {
  /** Stands in the reply. */
  readonly id: number;
  readonly jobs: readonly RenderJob[];
  /** Settings of the cache of decoded images, where there is one. */
  readonly cacheSettings?: unknown;
}

/** The results in order, or what went wrong. */
export type RenderReply =
  | { readonly id: number; readonly rendered: readonly Rendered[] }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };

/** One decoder keeps up with a good part of a device; more threads than this serve nobody. */
const MOST_THREADS = 16;

/** The threads could not be started. */
export class PoolUnavailable extends Error {}

const SCRIPT = new URL("./render_worker.ts", import.meta.url);

/** Whether threads can be started: where the program lies on this machine, it must be permitted to read itself. */
export function canStartThreads(script: URL = SCRIPT): boolean {
  return script.protocol !== "file:" || Deno.permissions.querySync({ name: "read", path: script }).state === "granted";
}

interface Task {
  readonly request: RenderRequest;
  readonly resolve: (rendered: readonly Rendered[]) => void;
  readonly reject: (error: Error) => void;
}

/** A few threads and the jobs that wait for one. */
export class RenderPool implements Disposable {
  readonly #workers: Worker[];
  readonly #idle: Worker[];
  readonly #running = new Map<Worker, Task>();
  #waiting: Task[] = [];
  #nextId = 0;
  #closed: Error | undefined;
  readonly #cache: SharedPixelCache | undefined;

  /**
   * Starts the threads.
   *
   * @param threads default one fewer than the processor has, since the main thread has work too
   */
  constructor(
    threads: number = Math.min(MOST_THREADS, Math.max(1, navigator.hardwareConcurrency - 1)),
    cache?: SharedPixelCache,
  ) {
    this.#cache = cache;
    this.#workers = Array.from({ length: threads }, () => this.#start());
    this.#idle = [...this.#workers];
  }

  /**
   * Carries out a few jobs, on one thread.
   *
   * @throws {FormatError} if an image cannot be decoded
   * @throws {PoolUnavailable} if the threads cannot be started
   */
  async run<Job extends RenderJob>(jobs: readonly Job[]): Promise<readonly RenderedOf<Job>[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Rendered[]>();
    if (this.#closed) reject(this.#closed);
    else {
      const request = { id: this.#nextId++, jobs, cacheSettings: this.#cache?.settings };
      this.#waiting.push({ request, resolve, reject });
      this.#dispatch();
    }
    return await promise as readonly RenderedOf<Job>[];
  }

  /** Ends the threads; what they were at is given up. */
  [Symbol.dispose](): void {
    this.#close(new Error("Cannot render: the pool is closed"));
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop()!, task = this.#waiting.shift()!;
      this.#running.set(worker, task);
      worker.postMessage(task.request);
    }
  }

  #start(): Worker {
    const worker = new Worker(this.#cache?.worker ?? SCRIPT, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<RenderReply>) => {
      const task = this.#running.get(worker)!;
      this.#running.delete(worker);
      this.#idle.push(worker);
      if ("rendered" in data) task.resolve(data.rendered);
      else task.reject(new (data.error.name === "FormatError" ? FormatError : Error)(data.error.message));
      this.#dispatch();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#close(new PoolUnavailable(event.message));
    };
    return worker;
  }

  #close(reason: Error): void {
    this.#closed ??= reason;
    for (const worker of this.#workers) worker.terminate();
    for (const { reject } of [...this.#running.values(), ...this.#waiting]) reject(this.#closed);
    this.#running.clear();
    this.#waiting = [];
    this.#idle.length = 0;
  }
}
