/**
 * How far a long command has come: a bar on a terminal, a line every ten seconds elsewhere.
 *
 * @module
 */

import type { Sink } from "./output.ts";

/** What is known at a step. */
export interface ProgressUpdate {
  /** Steps done. */
  readonly step: number;
  /** Loss of a recent step. */
  readonly loss?: number;
  /** Images per second; worked out by the caller, who knows what to leave out. */
  readonly imagesPerSecond?: number;
}

/** Progress that is being shown. */
export interface Progress {
  /** Takes note of a step; draws only when it is time, so that it may be called at every step. */
  update(state: ProgressUpdate): void;
  /** Prints a line that stays, above what is drawn. */
  note(line: string): void;
  /** Draws the last state and ends the line. Further calls do nothing. */
  finish(): void;
}

/** What is shown, and when. */
export interface ProgressOptions {
  readonly label: string;
  /** Steps of the whole. */
  readonly total: number;
  /** Show nothing. */
  readonly quiet: boolean;
  /** Milliseconds since any fixed moment. */
  readonly now?: () => number;
}

const REDRAW_MS = 100;
const LINE_MS = 10_000;
const BAR_CELLS = 24;

/**
 * Shows progress on a stream. The time left is that of the remaining steps at the mean pace since the first update:
 * neither the steps before a resumption nor the building of kernels count.
 */
export function createProgress(sink: Sink, options: ProgressOptions): Progress {
  const { quiet, now = () => performance.now() } = options;
  if (quiet) return { update: () => {}, note: () => {}, finish: () => {} };
  const terminal = sink.columns() !== undefined;
  const start = now();
  let first: { readonly step: number; readonly time: number } | undefined;
  let drawnAt = start;
  let drawn: ProgressUpdate | undefined;
  let latest: ProgressUpdate | undefined;
  let open = true;

  function draw(state: ProgressUpdate): void {
    const text = describe(options, state) + "  " + timing(state.step);
    const columns = sink.columns() ?? 80;
    sink.write(terminal ? `\r${bar(state.step, options.total, text).slice(0, columns - 1)}\x1b[K` : `${text}\n`);
    drawnAt = now();
    drawn = state;
  }

  function timing(step: number): string {
    if (step >= options.total || first === undefined) return duration((now() - start) / 1000);
    const pace = (now() - first.time) / (step - first.step);
    return Number.isFinite(pace) ? `${duration((options.total - step) * pace / 1000)} left` : "...";
  }

  return {
    update(state) {
      if (!open) return;
      first ??= { step: state.step, time: now() };
      latest = state;
      if (now() - drawnAt >= (terminal ? REDRAW_MS : LINE_MS)) draw(state);
    },
    note(line) {
      sink.write(terminal && drawn !== undefined ? `\r${line}\x1b[K\n` : `${line}\n`);
      if (terminal && open && latest !== undefined) draw(latest);
    },
    finish() {
      if (!open) return;
      open = false;
      if (latest !== undefined && latest !== drawn) draw(latest);
      if (terminal && drawn !== undefined) sink.write("\n");
    },
  };
}

function describe({ label, total }: ProgressOptions, { step, loss, imagesPerSecond }: ProgressUpdate): string {
  const parts = [`${label} ${step}/${total}`];
  if (loss !== undefined) parts.push(`loss ${loss.toFixed(4)}`);
  if (imagesPerSecond !== undefined) parts.push(`${rate(imagesPerSecond)} images/s`);
  return parts.join("  ");
}

/** Three digits at least, without an exponent. */
function rate(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function bar(step: number, total: number, text: string): string {
  const cells = Math.max(0, Math.min(BAR_CELLS, Math.floor(BAR_CELLS * step / Math.max(1, total))));
  return `[${"#".repeat(cells)}${".".repeat(BAR_CELLS - cells)}] ${text}`;
}

/** Seconds as people say them: `7 s`, `3 min 05 s`, `2 h 04 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const padded = (value: number) => String(Math.floor(value)).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${padded((whole % 3600) / 60)} min`;
}
