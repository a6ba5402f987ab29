/**
 * `swagpu convert`: between the formats of checkpoints, between those of learned priors, and to ONNX files.
 *
 * @module
 */

import { isOnnx } from "../../lib/checkpoint/onnx.ts";
import { writeNpz } from "../../lib/checkpoint/npy.ts";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import { UsageError } from "../../lib/errors.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { readInput, requireAbsent, writeAllWhole } from "../cli/files.ts";
import { REPORT_FLAGS } from "../cli/flag_groups.ts";
import { PRIOR_FLAGS } from "../cli/prior_flag_groups.ts";
import { type Command, defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { type Contents, countParameters, PRIOR_FORMAT, readContents, UNNAMED } from "./contents.ts";
import { convertPrior } from "./convert_prior.ts";
import { sha256 } from "./hashes.ts";
import {
  architectureOf,
  checkpointNetwork,
  encodeOnnx,
  ONNX_FLAGS,
  requireNoNetworkFlags,
  requireNoOnnxFlags,
} from "./onnx_export.ts";
import { baseName } from "./onnx_file.ts";
import { isPriorPrefix } from "./prior_files.ts";
import { readRunSample, tensorsOf } from "./run_sample.ts";

type Encode = (contents: Contents, facts: Readonly<Record<string, string>>) => Uint8Array;

/** A file that held one tensor without a name becomes one again. */
const encodeTorch: Encode = ({ tensors }) =>
  writeTorch(tensors.size === 1 && tensors.has(UNNAMED) ? tensors.get(UNNAMED)! : tensors);

const ENCODERS: Readonly<Record<string, Encode>> = {
  safetensors: ({ tensors, metadata }, facts) => writeSafetensors(tensors, { ...metadata, ...facts }),
  pt: encodeTorch,
  pth: encodeTorch,
  npz: ({ tensors }) => writeNpz(tensors),
};

const ONNX = "onnx";
const FORMATS = [...Object.keys(ENCODERS), ONNX];

const FLAGS = {
  in: {
    type: "string",
    value: "FILE",
    group: "Files",
    help:
      "what to read: .pth .pt .th .ckpt .onnx .safetensors .npz .npy (the content decides, not the name), a learned " +
      "prior, or the prefix of its four .pt files",
  },
  run: {
    type: "string",
    value: "DIR",
    group: "Files",
    help: "folder of a run of infer, in place of --in: one of its samples",
  },
  sample: { type: "integer", min: 0, group: "Files", help: "which sample of --run, from 0; the last unless given" },
  out: {
    type: "string",
    required: true,
    value: "FILE",
    group: "Files",
    help:
      "what to write: .safetensors, .pt, .pth, .npz or .onnx; of a learned prior .safetensors, .onnx (the network of " +
      "its mean, up to the features), or a prefix for four .pt files",
  },
  force: { type: "boolean", group: "Files", help: "replace --out where it exists" },
  keepPrefixes: {
    type: "boolean",
    group: "Checkpoints",
    help: "leave module., backbone., encoder. and base_model. on the tensors' names",
  },
  dtype: {
    type: "choice",
    choices: ["float32", "float16"],
    default: "float32",
    group: "Priors",
    help: "type of a prior's mean, variance and rows in a .safetensors file; float16 halves it and states the error",
  },
  priorNormalisation: { ...PRIOR_FLAGS.priorNormalisation, group: "Priors" },
  ...ONNX_FLAGS,
  ...REPORT_FLAGS,
} as const;

/** The table of `convert`. */
export const command: Command<typeof FLAGS> = defineCommand({
  name: "convert",
  summary: "a checkpoint, a run's sample or a learned prior into another format",
  permissions: "--allow-read --allow-write",
  flags: FLAGS,
  examples: [
    "convert --in resnet50.pth --out resnet50.safetensors",
    "convert --in resnet50.pth --encoder resnet50 --out resnet50.onnx",
    "convert --in mobilenet.onnx --fold --out mobilenet_folded.onnx",
    "convert --run runs/flowers --sample 3 --fold --out flowers.onnx",
    "convert --in resnet50_ssl_prior --out prior.safetensors --encoder resnet50",
    "convert --in prior.safetensors --out small.safetensors --dtype float16",
  ],
});

/** Values of the flags. */
export type Flags = FlagsOf<typeof command>;

/** What a conversion yields: bytes by path, facts about them, and lines for people beside those of the files. */
export interface Converted {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly lines?: readonly string[];
}

/**
 * Converts one file, or one prior; writes all of it or nothing.
 *
 * @throws {UsageError} if the extension of `--out` names no format that can be written
 */
export async function run(flags: Flags, io: Io): Promise<number> {
  const extension = extensionOf(flags.out);
  if (FORMATS.includes(extension) && !flags.force) await requireAbsent(flags.out);
  if (extension !== ONNX) requireNoOnnxFlags(flags, flags.out, flags.run !== undefined);
  const { files, facts, lines = [] } = await convert(flags, extension);
  await writeAllWhole(files, flags.force);
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  io.result(
    { out: flags.out, files: [...files.keys()], bytes, ...facts },
    [...[...files].map(([path, { length }]) => `${path}: ${length} bytes, from ${facts.format}`), ...lines],
  );
  return 0;
}

async function convert(flags: Flags, extension: string): Promise<Converted> {
  if ((flags.in === undefined) === (flags.run === undefined)) {
    throw new UsageError("Cannot convert: exactly one of --in and --run is required");
  }
  if (flags.run !== undefined) return await convertSample(flags, flags.run, extension);
  if (flags.sample !== undefined) throw new UsageError("Cannot use --sample without --run");
  return await convertFile(flags, flags.in!, extension);
}

async function convertFile(flags: Flags, path: string, extension: string): Promise<Converted> {
  if (await isPriorPrefix(path)) return await convertPrior(flags, path, extension);
  const bytes = await readInput(path, "a checkpoint");
  const source = { source: baseName(path), "source_sha256": sha256(bytes) };
  if (extension === ONNX && isOnnx(bytes) && flags.encoder === undefined && flags.onnx === undefined) {
    return await convertToOnnx({ ...flags, onnx: path }, undefined, source, bytes);
  }
  // The names that a network has decide what is a wrapper's prefix, where there is a network.
  const contents = await readContents(bytes, path, flags.keepPrefixes || extension === ONNX);
  if (contents.metadata.format === PRIOR_FORMAT) return await convertPrior(flags, path, extension);
  if (extension === ONNX) return await convertToOnnx(flags, contents, source);
  requireWritable(flags, extension);
  const encoded = ENCODERS[extension](contents, { format: "pt", "source_sha256": source.source_sha256 });
  return { files: new Map([[flags.out, encoded]]), facts: factsOf(contents) };
}

/** Tensors as an ONNX file; those of the network's own file, whose bytes are `read`, where none are given. */
async function convertToOnnx(
  flags: Flags,
  given: Contents | undefined,
  source: Readonly<Record<string, string>>,
  read?: Uint8Array,
): Promise<Converted> {
  requireWritable(flags, ONNX);
  const architecture = await architectureOf(flags, undefined, read), { network } = architecture;
  const contents = given ?? { format: "ONNX", tensors: weightsOf(network!.model, network!.head), metadata: {} };
  const exported = checkpointNetwork(architecture, contents.tensors, flags, source);
  return { files: encodeOnnx(exported, flags, flags.out), facts: factsOf(contents) };
}

function factsOf(contents: Contents): Record<string, unknown> {
  return { format: contents.format, tensors: contents.tensors.size, ...countParameters(contents) };
}

async function convertSample(flags: Flags, path: string, extension: string): Promise<Converted> {
  requireWritable(flags, extension);
  requireNoNetworkFlags(flags, path);
  const sample = await readRunSample(path, { number: flags.sample, onnx: flags.onnx });
  const contents = { format: "a run's sample", tensors: tensorsOf(sample), metadata: {} };
  const { chain, step } = sample.facts;
  const facts = { format: contents.format, chain: Number(chain), step: Number(step), ...countParameters(contents) };
  const files = extension === ONNX
    ? encodeOnnx(sample, flags, flags.out)
    : new Map([[flags.out, ENCODERS[extension](contents, { format: "pt", ...sample.facts })]]);
  return { files, facts };
}

/** Refuses, for what is no prior, another extension than a format's, and `--dtype`. */
function requireWritable({ out, dtype }: Flags, extension: string): void {
  if (!FORMATS.includes(extension)) {
    throw new UsageError(
      `Cannot write ${out}: "${extension}" names no format; one of .${FORMATS.join(", .")} is required`,
    );
  }
  if (dtype !== "float32") throw new UsageError(`Cannot use --dtype ${dtype}: what is read is no learned prior`);
}

function extensionOf(path: string): string {
  return /\.([^./\\]+)$/.exec(path)?.[1].toLowerCase() ?? "";
}
