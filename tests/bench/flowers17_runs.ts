/**
 * Oxford 17 Flowers at 32x32 with 10 labels a class, as benches of priors use it, and their runs, kept so that a stopped
 * bench goes on.
 *
 * @module
 */

import type { ImageSet } from "../../lib/data/dataset.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { balancedSubset, takeExamples } from "../../lib/data/subset.ts";
import type { Metrics } from "../../lib/evaluation/metrics.ts";
import type { Setting } from "../../tasks/demo/rivals.ts";
import { spread } from "../../tasks/demo/spread.ts";

/** What the project does not hold. */
export const SHARED = new URL("../../../shared/data/", import.meta.url).pathname;
/** Images that are trained on. */
export const LABELS = 170;
/** Seeds of subset, head and order. */
export const SEEDS: readonly number[] = [1, 2, 3];
/** Seed of the search. */
export const SEARCH_SEED = 100;

/** A run that is done. */
export interface Row extends Setting {
  readonly method: string;
  readonly phase: "search" | "final";
  readonly seed: number;
  readonly metrics: Metrics;
}

/** What tells runs apart. */
export type RunKey = Omit<Row, "metrics">;

/** Images to train on, and images to measure. */
export interface Task {
  readonly train: ImageSet;
  readonly held: ImageSet;
}

/** Flowers: one task for the search, of training images only, and one a seed. */
export interface Flowers {
  readonly numClasses: number;
  /** 170 images, and 170 others to measure. */
  readonly search: Task;
  /** 170 images by seed, and the 272 test images. */
  final(seed: number): Task;
}

/** Reads the images from the shared data. */
export async function loadFlowers(): Promise<Flowers> {
  const request = { name: "flowers17", dir: `${SHARED}flowers17`, size: 32, resize: "squash" } as const;
  const pool = await loadDataset({ ...request, split: "train" });
  const test = await loadDataset({ ...request, split: "test", classNames: pool.classNames });
  const both = takeExamples(pool, balancedSubset(pool, 2 * LABELS, SEARCH_SEED));
  const inner = balancedSubset(both, LABELS, SEARCH_SEED);
  const outer = Uint32Array.from({ length: 2 * LABELS }, (_, i) => i).filter((i) => !inner.includes(i));
  return {
    numClasses: pool.classNames.length,
    search: { train: takeExamples(both, inner), held: takeExamples(both, outer) },
    final: (seed) => ({ train: takeExamples(pool, balancedSubset(pool, LABELS, seed)), held: test }),
  };
}

function same(a: RunKey, b: RunKey): boolean {
  return a.method === b.method && a.phase === b.phase && a.seed === b.seed && a.learningRate === b.learningRate &&
    a.scale === b.scale && a.temperature === b.temperature;
}

/** Runs that are done, in a file of one a line. */
export class RunLog {
  readonly #path: string;
  readonly #rows: Row[];

  private constructor(path: string, rows: Row[]) {
    this.#path = path;
    this.#rows = rows;
  }

  /** The runs of a file, none where there is none. */
  static async open(path: string): Promise<RunLog> {
    const text = await Deno.readTextFile(path).catch(() => "");
    return new RunLog(path, text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)));
  }

  /** All runs, in the order in which they were done. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** The run where it is done already. */
  find(key: RunKey): Row | undefined {
    return this.#rows.find((row) => same(row, key));
  }

  /** Keeps a run. */
  async add(row: Row): Promise<void> {
    this.#rows.push(row);
    await Deno.writeTextFile(this.#path, JSON.stringify(row) + "\n", { append: true });
  }
}

/** A way to learn, and the settings that are tried. */
export interface Contestant {
  readonly name: string;
  readonly search: readonly Setting[];
}

/** How one is measured. */
export type Measure<C extends Contestant> = (
  contestant: C,
  setting: Setting,
  task: Task,
  seed: number,
) => Promise<Metrics>;

/**
 * Runs what the log has not: each contestant's search, of which the setting with the smallest NLL is chosen, then all of
 * them on each seed.
 *
 * @param report receives each run that is done
 * @param until milliseconds of `performance.now()` after which no run is begun
 * @returns the chosen settings by name, or nothing where time ran out
 */
export async function compete<C extends Contestant>(
  log: RunLog,
  contestants: readonly C[],
  flowers: Flowers,
  measure: Measure<C>,
  { report, until = Infinity }: { report(row: Row): void; until?: number },
): Promise<ReadonlyMap<string, Setting> | undefined> {
  const run = async (contestant: C, phase: Row["phase"], setting: Setting, seed: number) => {
    const { learningRate, scale, temperature } = setting;
    const key = { phase, seed, method: contestant.name, learningRate, scale, temperature };
    const known = log.find(key);
    if (known || performance.now() > until) return known;
    const task = phase === "search" ? flowers.search : flowers.final(seed);
    const row = { ...key, metrics: await measure(contestant, setting, task, seed) };
    await log.add(row);
    report(row);
    return row;
  };
  const chosen = new Map<string, Setting>();
  for (const contestant of contestants) {
    const tried: Row[] = [];
    for (const setting of contestant.search) {
      const row = await run(contestant, "search", setting, SEARCH_SEED);
      if (row === undefined) return undefined;
      tried.push(row);
    }
    chosen.set(contestant.name, tried.reduce((best, row) => (row.metrics.nll < best.metrics.nll ? row : best)));
  }
  for (const seed of SEEDS) {
    for (const contestant of contestants) {
      if (await run(contestant, "final", chosen.get(contestant.name)!, seed) === undefined) return undefined;
    }
  }
  return chosen;
}

/** One line of text about a run. */
export function describeRow({ phase, method, seed, metrics, ...setting }: Row): string {
  const result = `${(100 * metrics.accuracy).toFixed(1)} %, NLL ${metrics.nll.toFixed(3)}`;
  return `${phase} ${method} ${describeSetting(setting)} seed ${seed}: ${result}`;
}

function describeSetting({ learningRate, scale, temperature }: Setting): string {
  const parts = [`lr ${learningRate}`];
  if (scale !== 0) parts.push(`scale ${scale}`);
  if (temperature !== undefined) parts.push(`temperature ${temperature}`);
  return parts.join(", ");
}

function cell(values: readonly number[]): string {
  const { mean, std } = spread(values);
  return `${mean.toFixed(3)} ± ${std.toFixed(3)}`;
}

/** Two tables: what the chosen settings came to on test images, and the search. */
export function renderRows(rows: readonly Row[], chosen: ReadonlyMap<string, Setting>): string {
  const lines = [...chosen].map(([method, setting]) => {
    const metrics = SEEDS.flatMap((seed) =>
      rows.filter((row) => same(row, { ...setting, phase: "final", method, seed })).map((row) => row.metrics)
    );
    const columns = [(m: Metrics) => 100 * m.accuracy, (m: Metrics) => m.nll, (m: Metrics) => m.ece].map((of) =>
      cell(metrics.map(of))
    );
    return `| ${method} | ${columns.join(" | ")} | ${describeSetting(setting)} |`;
  });
  const searched = rows.filter((row) => row.phase === "search").map((row) =>
    `| ${row.method} | ${describeSetting(row)} | ${(100 * row.metrics.accuracy).toFixed(1)} | ${
      row.metrics.nll.toFixed(3)
    } |`
  );
  return `| method | accuracy, % | NLL, nats | ECE | chosen |
|---|---|---|---|---|
${lines.join("\n")}

The search, on validation images:

| method | setting | accuracy, % | NLL |
|---|---|---|---|
${searched.join("\n")}
`;
}
