/**
 * Where a command's words go: results to stdout, all else to stderr.
 *
 * @module
 */

import { createProgress, type Progress } from "./progress.ts";

/** What a command writes through. */
export interface Io {
  /**
   * Prints the command's result, once, at its end: the lines for people, or under `--json` the object as one line.
   * Numbers that JSON lacks (NaN, infinities) become `null`.
   */
  result(object: Readonly<Record<string, unknown>>, lines: readonly string[]): void;
  /** Prints a remark to stderr; nothing under `--quiet`. */
  note(line: string): void;
  /** Shows progress on stderr until it is finished; nothing under `--quiet`. `total` counts steps. */
  progress(label: string, total: number): Progress;
}

/** A text stream of the process. */
export interface Sink {
  /** Writes a text, all of it. */
  write(text: string): void;
  /** Columns of the terminal, or `undefined` where the stream is none. */
  columns(): number | undefined;
}

/** The words of one command. */
export function createIo(stdout: Sink, stderr: Sink, { json, quiet }: { json: boolean; quiet: boolean }): Io {
  return {
    result: (object, lines) => stdout.write((json ? JSON.stringify(object) : lines.join("\n")) + "\n"),
    note: (line) => quiet || stderr.write(line + "\n"),
    progress: (label, total) => createProgress(stderr, { label, total, quiet }),
  };
}

/** Stdout or stderr. Once the reader at its other end is gone (EPIPE), what is written to it is dropped. */
export function processSink(stream: typeof Deno.stdout | typeof Deno.stderr): Sink {
  const encoder = new TextEncoder();
  let open = true;
  return {
    write(text) {
      let bytes = encoder.encode(text);
      while (open && bytes.length > 0) {
        try {
          bytes = bytes.subarray(stream.writeSync(bytes));
        } catch (error) {
          if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
          open = false;
        }
      }
    },
    columns: () => stream.isTerminal() ? terminalColumns() : undefined,
  };
}

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}
