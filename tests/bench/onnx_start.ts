/**
 * How long a network's ONNX file takes until it could train, and how much memory: `deno run -A tests/bench/onnx_start.ts
 * [--model resnet50] [--rounds 5]` writes `results/onnx_start.md`, and exits with 1 where a bound is not kept.
 *
 * It needs PyTorch and torchvision as `/usr/bin/python3` finds them, or as the interpreter that `--python` names does: the
 * file is a fresh export. Each round is a process of its own. Resident memory is Linux's.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { openGpu } from "../../lib/gpu/device.ts";
import { estimateMemory } from "../../lib/inference/training_step.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { weightsFromStateDict } from "../../lib/models/weights.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { spreadOf } from "../../tasks/bench/statistics.ts";
import { openOnnx } from "../../tasks/commands/onnx_file.ts";

const RESULTS = new URL("results/onnx_start.md", import.meta.url);
const EXPORTER = new URL("../../tasks/torchvision_to_onnx.py", import.meta.url).pathname;
const SIZE = 224, BATCH = 32, CLASSES = 10, MIB = 2 ** 20;
/** The bounds: seconds, and multiples of the file's size while nothing of it is on the device. */
const SECONDS_BOUND = 3, MEMORY_BOUND = 4;
/** Stages whose memory is in part the device's. */
const ON_DEVICE = "weights on the device";

/** What was reached, when (ms since the process began), and the greatest resident memory up to then (bytes). */
interface Mark {
  readonly stage: string;
  readonly time: number;
  readonly peak: number;
}

async function peakMemory(): Promise<number> {
  const found = (await Deno.readTextFile("/proc/self/status")).match(/^VmHWM:\s+(\d+) kB/m);
  if (found === null) throw new Error("Cannot tell the peak memory: /proc/self/status has no VmHWM");
  return Number(found[1]) * 1024;
}

/** Reads a file, plans a training step of it, makes the weights ready and uploads them. */
async function start(path: string): Promise<Mark[]> {
  const marks: Mark[] = [];
  const mark = async (stage: string) => void marks.push({ stage, time: performance.now(), peak: await peakMemory() });
  await mark("program loaded");
  using gpu = await openGpu();
  await mark("device open");
  // As the commands read it, SHA-256 included.
  const { network } = await openOnnx(path);
  await mark("file read");
  const model = { encoder: "file", network, numClasses: CLASSES, height: SIZE, width: SIZE };
  estimateMemory(gpu, model, {
    batchSize: BATCH,
    normalisation: NORMALISATIONS.imagenet,
    seed: 1,
    settings: { sampler: "sgd", momentum: 0.9, temperature: 0, numData: 1000, priorStep: "explicit" },
  });
  await mark("step planned");
  const weights = weightsFromStateDict(layoutModel(model), weightsOf(network.model, network.head), {
    head: "fresh",
    seed: 1,
  });
  await mark("weights ready");
  const device = new DeviceModel(gpu, model);
  device.write(weights);
  await gpu.finish();
  await mark(ON_DEVICE);
  device.destroy();
  return marks;
}

async function outputOf(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  if (!success) throw new Error(`Cannot run ${command}: ${new TextDecoder().decode(stderr).trim().split("\n").at(-1)}`);
  return new TextDecoder().decode(stdout).trim();
}

/** A stage over all rounds. */
interface Row {
  readonly stage: string;
  readonly seconds: ReturnType<typeof spreadOf>;
  /** Median peak over the file's size. */
  readonly multiple: number;
  /** Median, bytes. */
  readonly peak: number;
}

function rowsOf(bytes: number, rounds: readonly (readonly Mark[])[]): Row[] {
  return rounds[0].map(({ stage }, index) => {
    const peak = spreadOf(rounds.map((marks) => marks[index].peak)).median;
    const seconds = spreadOf(rounds.map((marks) => marks[index].time / 1000));
    return { stage, seconds, peak, multiple: peak / bytes };
  });
}

/** What is over its bound. */
function excesses(rows: readonly Row[]): string[] {
  return rows.flatMap(({ stage, seconds, multiple }) => [
    ...seconds.median > SECONDS_BOUND ? [`${stage}: ${seconds.median.toFixed(2)} s, above ${SECONDS_BOUND}`] : [],
    ...stage !== ON_DEVICE && multiple > MEMORY_BOUND
      ? [`${stage}: ${multiple.toFixed(2)} times the file, above ${MEMORY_BOUND}`]
      : [],
  ]);
}

function lineOf({ stage, seconds, peak, multiple }: Row): string {
  const [median, lower, upper] = [seconds.median, seconds.lower, seconds.upper].map((value) => value.toFixed(2));
  const remark = stage === ON_DEVICE && multiple > MEMORY_BOUND
    ? `above ${MEMORY_BOUND}: with the device's own memory, which on this adapter is the process's`
    : "";
  return `| ${stage} | ${median} (${lower} to ${upper}) | ${(peak / MIB).toFixed(0)} | ${
    multiple.toFixed(2)
  } | ${remark} |`;
}

/** What processor this is, as Linux says, and how busy others keep it. */
async function processor(): Promise<string> {
  const found = (await Deno.readTextFile("/proc/cpuinfo")).match(/^model name\s*: (.+)$/m);
  const cores = navigator.hardwareConcurrency, load = Deno.loadavg()[0].toFixed(1);
  return `${found?.[1] ?? "an unknown processor"}, ${cores} cores, load average ${load} before it began`;
}

function pageOf(model: string, bytes: number, rounds: number, rows: readonly Row[], machine: string): string {
  const over = excesses(rows);
  return `# From an ONNX file to a network that could train

\`${model}\` as \`tasks/torchvision_to_onnx.py\` exports it, ${
    (bytes / MIB).toFixed(1)
  } MiB; ${rounds} processes, caches warm. Seconds since the
process began (median, quartiles), and the greatest resident memory up to there: MiB, and multiples of the file's size. The
step that is planned is SGD's at batch ${BATCH}, ${SIZE} x ${SIZE}. The bounds are ${SECONDS_BOUND} s, and ${MEMORY_BOUND} times the file's size until weights go to
the device; ${over.length > 0 ? `not kept: ${over.join("; ")}` : "all are kept"}. Measured on
${new Date().toISOString().slice(0, 10)} on Mesa's lavapipe: ${machine}.

| up to | seconds | peak, MiB | of the file | remarks |
| --- | ---: | ---: | ---: | --- |
${rows.map(lineOf).join("\n")}
`;
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, { string: ["start", "python", "model", "rounds"] });
  if (flags.start !== undefined) {
    console.log(JSON.stringify(await start(flags.start)));
    return;
  }
  const model = flags.model ?? "resnet50", machine = await processor();
  const folder = await Deno.makeTempDir({ prefix: "onnx-start" });
  try {
    const file = `${folder}/${model}.onnx`;
    await outputOf(flags.python ?? "/usr/bin/python3", [EXPORTER, model, "--out", file]);
    const rounds: Mark[][] = [];
    const script = new URL(import.meta.url).pathname;
    const once = () => outputOf(Deno.execPath(), ["run", "-A", "--no-check", script, "--start", file]);
    await once();
    for (let round = 0; round < Number(flags.rounds ?? 5); round++) rounds.push(JSON.parse(await once()));
    const { size } = await Deno.stat(file), rows = rowsOf(size, rounds);
    const page = pageOf(model, size, rounds.length, rows, machine);
    console.log(page);
    await Deno.writeTextFile(RESULTS, page);
    const over = excesses(rows);
    over.forEach((line) => console.error(line));
    if (over.length > 0) Deno.exitCode = 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
