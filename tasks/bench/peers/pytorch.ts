/**
 * PyTorch on the CPU, in a process of its own: see `pytorch.py`.
 *
 * @module
 */

import { cifarDepth } from "./cifar.ts";
import type { Peer, Problem, Trainer } from "./peer.ts";

const SCRIPT = new URL("./pytorch.py", import.meta.url).pathname;

/** A process that answers each line with one line of JSON. */
class LineProcess {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(command: string, args: string[]) {
    this.#process = new Deno.Command(command, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Sends a command and waits for its answer. */
  async ask<T>(command: unknown): Promise<T> {
    // A process that is gone refuses the write; why it went is on its stderr.
    await this.#input.write(new TextEncoder().encode(JSON.stringify(command) + "\n")).catch(() => {});
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`PyTorch's process ended: ${await this.#lastWords()}`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const answer = JSON.parse(this.#rest.slice(0, end));
    this.#rest = this.#rest.slice(end + 1);
    return answer;
  }

  async #lastWords(): Promise<string> {
    const text = await new Response(this.#process.stderr).text();
    return text.trim().split("\n").at(-1)!;
  }

  /** Ends the process. */
  async close(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#output.cancel();
    await this.#process.stderr.cancel().catch(() => {});
    await this.#process.status;
  }
}

async function writeProblem(folder: string, { weights, images, labels }: Problem): Promise<void> {
  await Deno.writeFile(`${folder}/weights.f32`, new Uint8Array(weights.buffer));
  await Deno.writeFile(`${folder}/images.f32`, new Uint8Array(images.buffer));
  await Deno.writeFile(`${folder}/labels.u32`, new Uint8Array(labels.buffer));
}

async function open(python: string, problem: Problem): Promise<Trainer> {
  const folder = await Deno.makeTempDir({ prefix: "swagpu-bench-" });
  const process = new LineProcess(python, [SCRIPT]);
  const close = async () => {
    await process.close();
    await Deno.remove(folder, { recursive: true });
  };
  try {
    await writeProblem(folder, problem);
    const { encoder, batchSize, size, numClasses, learningRate, momentum } = problem;
    await process.ask({
      folder,
      encoder,
      depth: cifarDepth(encoder) ?? null,
      batchSize,
      size,
      numClasses,
      learningRate,
      momentum,
      threads: navigator.hardwareConcurrency,
      parameters: problem.parameters.map(({ name, shape }) => [name, shape]),
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    steps: async (count) => (await process.ask<{ loss: number }>({ steps: count })).loss,
    async weights() {
      await process.ask({ weights: `${folder}/now.f32` });
      return new Float32Array((await Deno.readFile(`${folder}/now.f32`)).buffer);
    },
    close,
  };
}

/** PyTorch, as the interpreter `python` finds it. */
export function pytorchPeer(python: string): Peer {
  return {
    name: `PyTorch (CPU, ${navigator.hardwareConcurrency} threads)`,
    trains: () => true,
    open: (problem) => open(python, problem),
  };
}
