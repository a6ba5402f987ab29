/**
 * `swagpu inspect`: what a checkpoint, a learned prior or a run holds.
 *
 * @module
 */

import { isFolder } from "../../lib/data/files.ts";
import { isOnnx } from "../../lib/checkpoint/onnx.ts";
import { isSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { exists, readInput } from "../cli/files.ts";
import { DATA_FLAGS, MODEL_FLAGS, REPORT_FLAGS } from "../cli/flag_groups.ts";
import { type Command, defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { countParameters, readContents } from "./contents.ts";
import { describeOnnx } from "./inspect_onnx.ts";
import { isPriorPrefix, priorPaths } from "./prior_files.ts";
import { readRun } from "./run_folder.ts";
import { type Description, tableOf } from "./table.ts";

const FLAGS = {
  keepPrefixes: {
    type: "boolean",
    group: "Names",
    help: "leave module., backbone., encoder. and base_model. on the tensors' names",
  },
  batchSize: { ...DATA_FLAGS.batchSize, group: "ONNX", help: "images of the batch whose cost is worked out" },
  imageSize: {
    ...DATA_FLAGS.imageSize,
    group: "ONNX",
    help: "side of those images in pixels; the file's own, or 224, unless given",
  },
  head: { ...MODEL_FLAGS.head, group: "ONNX", help: "node of the last layer; found unless given" },
  ...REPORT_FLAGS,
} as const;

/** The table of `inspect`. */
export const command: Command<typeof FLAGS> = defineCommand({
  name: "inspect",
  summary: "what a checkpoint, a learned prior or a run holds",
  permissions: "--allow-read",
  flags: FLAGS,
  operands: {
    name: "FILE",
    min: 1,
    help:
      "a checkpoint (.pth .pt .th .ckpt .onnx .safetensors), arrays (.npz .npy), a prior's .safetensors file or the " +
      "prefix of its four .pt files, or a run's folder",
  },
  examples: ["inspect resnet50.pth", "inspect mobilenet.onnx --batch-size 32", "inspect runs/flowers --json"],
});

type Flags = FlagsOf<typeof command>;

/** Describes each operand in turn; the object holds all of them under `files`. */
export async function run(flags: Flags, io: Io): Promise<number> {
  const descriptions: Description[] = [];
  for (const path of flags.operands) {
    for (const part of await partsOf(path)) descriptions.push(await describe(part, flags));
  }
  io.result({ files: descriptions.map(({ object }) => object) }, descriptions.flatMap(({ lines }) => lines));
  return 0;
}

/** A path, or the four files that an original prior's prefix stands for. */
async function partsOf(path: string): Promise<string[]> {
  if (!await isPriorPrefix(path)) return [path];
  const paths = Object.values(priorPaths(path));
  const present = await Promise.all(paths.map(exists));
  return paths.filter((_, i) => present[i]);
}

/** Whether bytes are an ONNX file's. The length that begins a safetensors file can look like its first byte. */
function isOnnxFile(bytes: Uint8Array): boolean {
  return !isSafetensors(bytes) && isOnnx(bytes);
}

async function describe(path: string, flags: Flags): Promise<Description> {
  if (await isFolder(path)) return describeRun(path);
  const bytes = await readInput(path, "a checkpoint");
  if (isOnnxFile(bytes)) return await describeOnnx(path, bytes, flags);
  const contents = await readContents(bytes, path, flags.keepPrefixes);
  const { format, tensors, metadata } = contents;
  const counts = countParameters(contents);
  const summary =
    `${path}: ${format}, ${bytes.length} bytes, ${tensors.size} tensors, ${counts.parameters} parameters` +
    (counts.statistics > 0 ? ` and ${counts.statistics} running statistics` : "") +
    (counts.rank !== undefined ? `, a learned prior of rank ${counts.rank}` : "");
  const facts = Object.entries(metadata).map(([key, value]) => `  ${key}: ${shortened(value)}`);
  const listed = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return {
    object: { path, format, bytes: bytes.length, ...counts, metadata, tensors: listed },
    lines: [summary, ...facts, ...tableOf(listed)],
  };
}

async function describeRun(path: string): Promise<Description> {
  const found = await readRun(path);
  const facts = Object.entries(found.config).map(([key, value]) => `  ${key}: ${shortened(JSON.stringify(value))}`);
  const last = found.lastMetrics === undefined ? [] : [`  last metrics: ${JSON.stringify(found.lastMetrics)}`];
  const files = found.files.map(({ name, bytes }) => `  ${name}  ${bytes} bytes`);
  return {
    object: { path, format: "run", ...found },
    lines: [
      `${path}: run, ${found.metricRows} rows of metrics, ${found.files.length} files`,
      ...facts,
      ...last,
      ...files,
    ],
  };
}

function shortened(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
