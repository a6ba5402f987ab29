/**
 * `swagpu convert`: between the formats of checkpoints, and between those of learned priors.
 *
 * @module
 */

import { writeNpz } from "../../lib/checkpoint/npy.ts";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import { UsageError } from "../../lib/errors.ts";
import { readInput, requireAbsent, writeAllWhole } from "../cli/files.ts";
import { PRIOR_FLAGS, REPORT_FLAGS } from "../cli/flag_groups.ts";
import { type Command, defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { type Contents, countParameters, PRIOR_FORMAT, readContents, UNNAMED } from "./contents.ts";
import { encodePrior, isPriorPrefix, readPriorAt } from "./prior_files.ts";

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

const FLAGS = {
  in: {
    type: "string",
    required: true,
    value: "FILE",
    group: "Files",
    help:
      "what to read: .pth .pt .th .ckpt .onnx .safetensors .npz .npy (the content decides, not the name), a learned " +
      "prior, or the prefix of its four .pt files",
  },
  out: {
    type: "string",
    required: true,
    value: "FILE",
    group: "Files",
    help:
      "what to write: .safetensors, .pt, .pth or .npz; of a learned prior .safetensors, or a prefix for four .pt files",
  },
  force: { type: "boolean", group: "Files", help: "replace --out where it exists" },
  keepPrefixes: {
    type: "boolean",
    group: "Checkpoints",
    help: "leave module., backbone., encoder. and base_model. on the tensors' names",
  },
  encoder: {
    type: "string",
    value: "NAME",
    group: "Priors",
    help: "architecture to note down, which the four .pt files do not state",
  },
  priorNormalisation: { ...PRIOR_FLAGS.priorNormalisation, group: "Priors" },
  ...REPORT_FLAGS,
} as const;

/** The table of `convert`. */
export const command: Command<typeof FLAGS> = defineCommand({
  name: "convert",
  summary: "a checkpoint or a learned prior into another format",
  permissions: "--allow-read --allow-write",
  flags: FLAGS,
  examples: [
    "convert --in resnet50.pth --out resnet50.safetensors",
    "convert --in resnet50_ssl_prior --out prior.safetensors --encoder resnet50",
  ],
});

type Flags = FlagsOf<typeof command>;

/** What a conversion yields: bytes by path, and facts about them. */
interface Converted {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly facts: Readonly<Record<string, string | number>>;
}

/**
 * Converts one file, or one prior; writes all of it or nothing.
 *
 * @throws {UsageError} if the extension of `--out` names no format that can be written
 */
export async function run(flags: Flags, io: Io): Promise<number> {
  const extension = extensionOf(flags.out);
  if (extension in ENCODERS && !flags.force) await requireAbsent(flags.out);
  const { files, facts } = await convert(flags, extension);
  await writeAllWhole(files, flags.force);
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  io.result(
    { out: flags.out, files: [...files.keys()], bytes, ...facts },
    [...files].map(([path, { length }]) => `${path}: ${length} bytes, from ${facts.format}`),
  );
  return 0;
}

async function convert(flags: Flags, extension: string): Promise<Converted> {
  if (await isPriorPrefix(flags.in)) return await convertPrior(flags);
  const bytes = await readInput(flags.in, "a checkpoint");
  const contents = await readContents(bytes, flags.in, flags.keepPrefixes);
  if (contents.metadata.format === PRIOR_FORMAT) return await convertPrior(flags);
  if (!Object.hasOwn(ENCODERS, extension)) {
    throw new UsageError(
      `Cannot write ${flags.out}: "${extension}" names no format; one of .${
        Object.keys(ENCODERS).join(", .")
      } is required`,
    );
  }
  const encoded = ENCODERS[extension](contents, { format: "pt", source_sha256: await sha256(bytes) });
  return {
    files: new Map([[flags.out, encoded]]),
    facts: { format: contents.format, tensors: contents.tensors.size, ...countParameters(contents) },
  };
}

async function convertPrior({ in: path, out, encoder, priorNormalisation }: Flags): Promise<Converted> {
  const prior = await readPriorAt(path, {
    architecture: encoder,
    normalised: priorNormalisation === "auto" ? undefined : priorNormalisation === "normalised",
  });
  const { mean, covFactor } = prior.swag;
  return {
    files: encodePrior(prior, out),
    facts: { format: "learned prior", parameters: mean.length, rank: covFactor.length },
  };
}

function extensionOf(path: string): string {
  return /\.([^./\\]+)$/.exec(path)?.[1].toLowerCase() ?? "";
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return new Uint8Array(digest).toHex();
}
