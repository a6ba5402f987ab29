/**
 * `--profile DIR` of `prior` and `infer`: a few steps, each launch timed, as tables and as a trace.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import { measurePeaks, type Peaks } from "../../lib/gpu/peaks.ts";
import { type LaunchWork, type ProfiledStep, Profiler, type Span } from "../../lib/gpu/profiler.ts";
import { writeWhole } from "../cli/files.ts";
import type { FlagTable } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";

/** The flag. */
export const PROFILE_FLAGS = {
  profile: {
    type: "string",
    value: "DIR",
    group: "Output",
    help: "time each launch of a few steps: DIR/profile.md, and DIR/trace.json for Perfetto or chrome://tracing",
  },
} as const satisfies FlagTable;

/** Steps that are profiled, and those before them; fewer where a run is shorter. */
const STEPS = 5;
const WARM_UP = 3;

/** Makes the folder of a profile, before the work begins. */
export async function makeProfileFolder(dir: string): Promise<void> {
  try {
    await Deno.mkdir(dir, { recursive: true });
  } catch (cause) {
    throw new Error(
      `Cannot write the profile ${dir}: ${(cause as Error).message}; a folder that can be written is required`,
      { cause },
    );
  }
}

/** A profiler of a run of `steps` steps. */
export function profilerFor(gpu: Gpu, steps: number): Profiler {
  return new Profiler(gpu, { warmUp: Math.min(WARM_UP, Math.max(0, steps - STEPS)), steps: STEPS });
}

/** Writes what a profiler recorded, and frees it. */
export async function writeProfile(gpu: Gpu, dir: string, profiler: Profiler, io: Io): Promise<void> {
  const { steps } = profiler;
  profiler.destroy();
  const peaks = await measurePeaks(gpu);
  const encoder = new TextEncoder();
  const adapter = gpu.adapter.description || gpu.adapter.device;
  await writeWhole(`${dir}/profile.md`, encoder.encode(profileText(steps, peaks, adapter)), true);
  await writeWhole(`${dir}/trace.json`, encoder.encode(JSON.stringify(chromeTrace(steps))), true);
  io.note(`profile of ${steps.length} steps in ${dir}: profile.md, trace.json`);
}

/** Time and work of all launches of one name or kind. */
export interface ProfileRow {
  readonly name: string;
  /** Launches in all steps. */
  readonly calls: number;
  /** In all steps. */
  readonly milliseconds: number;
  /** Of the time of all launches, 0 to 1. */
  readonly share: number;
  /** A second; absent where they are not known of every launch. */
  readonly flops?: number;
  /** Bytes of the bindings a second. */
  readonly bandwidth: number;
  /** The larger of both shares of the peaks. */
  readonly ofPeak: number;
}

/** Adds launches up by name or by kind; the slowest first. */
export function profileRows(steps: readonly ProfiledStep[], by: "name" | "kind", peaks: Peaks): ProfileRow[] {
  const groups = new Map<string, (Span & LaunchWork)[]>();
  for (const span of steps.flatMap(({ device }) => device)) {
    groups.set(span[by], [...groups.get(span[by]) ?? [], span]);
  }
  const timeOf = (spans: readonly Span[]) => sumOf(spans, ({ start, end }) => end - start);
  const total = timeOf([...groups.values()].flat());
  const rows = [...groups].map(([name, spans]) => {
    const milliseconds = timeOf(spans), seconds = milliseconds / 1000;
    const flops = spans.every((span) => span.flops !== undefined)
      ? sumOf(spans, (span) => span.flops!) / seconds
      : undefined;
    const bandwidth = sumOf(spans, ({ bytes }) => bytes) / seconds;
    const ofPeak = Math.max((flops ?? 0) / peaks.flops, bandwidth / peaks.bandwidth);
    return { name, calls: spans.length, milliseconds, share: milliseconds / total, flops, bandwidth, ofPeak };
  });
  return rows.sort((a, b) => b.milliseconds - a.milliseconds);
}

function tableOf(heading: string, rows: readonly ProfileRow[]): string {
  const lines = rows.map(({ name, calls, milliseconds, share, flops, bandwidth, ofPeak }) =>
    `| ${name} | ${calls} | ${milliseconds.toFixed(3)} | ${(100 * share).toFixed(1)} | ` +
    `${flops === undefined ? "" : (flops / 1e9).toFixed(2)} | ${(bandwidth / 1e9).toFixed(2)} | ` +
    `${(100 * ofPeak).toFixed(0)} |`
  );
  return [
    `| ${heading} | calls | ms | % of time | GFLOP/s | GB/s | % of peak |`,
    "|---|--:|--:|--:|--:|--:|--:|",
    ...lines,
  ].join("\n");
}

function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}

/** The tables, as Markdown. */
export function profileText(steps: readonly ProfiledStep[], peaks: Peaks, adapter: string): string {
  const host = new Map<string, number>();
  for (const { name, start, end } of steps.flatMap((step) => step.host)) {
    host.set(name, (host.get(name) ?? 0) + (end - start) / steps.length);
  }
  const device = steps.map((step) => step.device);
  const spanned = sumOf(device, (launches) => launches.at(-1)!.end - launches[0].start);
  const busy = sumOf(device.flat(), ({ start, end }) => end - start);
  const hostLines = [...host].map(([name, milliseconds]) => `| ${name} | ${milliseconds.toFixed(3)} |`);
  return `# Profile of ${steps.length} steps

${adapter}. Peaks measured on it: ${(peaks.flops / 1e9).toFixed(1)} GFLOP/s of multiply-adds, ${
    (peaks.bandwidth / 1e9).toFixed(1)
  } GB/s of a copy. Times are of
all ${steps.length} steps together. GB/s counts each binding once. Each launch is timed in a compute pass of its own, which adds to
the host's encoding and to the device's gaps, not to the launch: the launches fill ${
    (100 * busy / spanned).toFixed(1)
  } % of the time from the
first to the last of a step, ${(spanned / steps.length).toFixed(1)} ms, in which the host waits ${
    (host.get("wait") ?? 0).toFixed(1)
  } ms.

## By kind of kernel

${tableOf("kind", profileRows(steps, "kind", peaks))}

## By operation

${tableOf("launch", profileRows(steps, "name", peaks))}

## Host, a step

| span | ms |
|---|--:|
${hostLines.join("\n")}
`;
}

/** An event of the Trace Event Format; times in microseconds. */
export type TraceEvent =
  | {
    readonly ph: "X";
    readonly name: string;
    readonly cat: "host" | "device";
    readonly pid: number;
    readonly tid: number;
    readonly ts: number;
    readonly dur: number;
    readonly args: Readonly<Record<string, unknown>>;
  }
  | {
    readonly ph: "M";
    readonly name: "thread_name";
    readonly pid: number;
    readonly tid: number;
    readonly args: { readonly name: string };
  };

const THREADS = { host: 1, device: 2 } as const;

/** The steps as Chrome's trace viewer and Perfetto read them. */
export function chromeTrace(steps: readonly ProfiledStep[]): { readonly traceEvents: readonly TraceEvent[] } {
  const origin = steps[0]?.host[0]?.start ?? 0;
  const event = (cat: keyof typeof THREADS, { name, start, end }: Span, args: Record<string, unknown>): TraceEvent => ({
    ph: "X",
    name,
    cat,
    pid: 1,
    tid: THREADS[cat],
    ts: 1000 * (start - origin),
    dur: 1000 * (end - start),
    args,
  });
  return {
    traceEvents: [
      ...Object.entries(THREADS).map(([name, tid]): TraceEvent => ({
        ph: "M",
        name: "thread_name",
        pid: 1,
        tid,
        args: { name },
      })),
      ...steps.flatMap(({ step, host, device }) => [
        ...host.map((span) => event("host", span, { step })),
        ...device.map((span) => event("device", span, { step, kind: span.kind, flops: span.flops, bytes: span.bytes })),
      ]),
    ],
  };
}
