/**
 * `swagpu convert`: between checkpoint formats.
 *
 * @module
 */

import { writeNpz } from "../../lib/checkpoint/npy.ts";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import { UsageError } from "../../lib/errors.ts";
import { readInput, requireAbsent, writeWhole } from "../cli/files.ts";
import { REPORT_FLAGS } from "../cli/flag_groups.ts";
import { type Command, defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { type Contents, countParameters, readContents, UNNAMED } from "./contents.ts";

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
    help: "what to read: .pth .pt .th .ckpt .onnx .safetensors .npz .npy; its content decides, not its name",
  },
  out: {
    type: "string",
    required: true,
    value: "FILE",
    group: "Files",
    help: "what to write: .safetensors, .pt, .pth or .npz",
  },
  force: { type: "boolean", group: "Files", help: "replace --out where it exists" },
  keepPrefixes: {
    type: "boolean",
    group: "Files",
    help: "leave module., backbone., encoder. and base_model. on the tensors' names",
  },
  ...REPORT_FLAGS,
} as const;

/** The table of `convert`. */
export const command: Command<typeof FLAGS> = defineCommand({
  name: "convert",
  summary: "a checkpoint into another format",
  permissions: "--allow-read --allow-write",
  flags: FLAGS,
  examples: ["convert --in resnet50.pth --out resnet50.safetensors"],
});

/**
 * Converts one file; writes all of it or nothing.
 *
 * @throws {UsageError} if the extension of `--out` names no format that can be written
 */
export async function run(flags: FlagsOf<typeof command>, io: Io): Promise<number> {
  const encode = encoderOf(flags.out);
  if (!flags.force) await requireAbsent(flags.out);
  const bytes = await readInput(flags.in, "a checkpoint");
  const contents = await readContents(bytes, flags.in, flags.keepPrefixes);
  const encoded = encode(contents, { format: "pt", source_sha256: await sha256(bytes) });
  await writeWhole(flags.out, encoded, flags.force);
  const { parameters, statistics } = countParameters(contents.tensors);
  io.result(
    {
      out: flags.out,
      bytes: encoded.length,
      format: contents.format,
      tensors: contents.tensors.size,
      parameters,
      statistics,
    },
    [`${flags.out}: ${contents.tensors.size} tensors, ${encoded.length} bytes, from ${contents.format}`],
  );
  return 0;
}

function encoderOf(path: string): Encode {
  const extension = /\.([^./\\]+)$/.exec(path)?.[1].toLowerCase() ?? "";
  if (!Object.hasOwn(ENCODERS, extension)) {
    throw new UsageError(
      `Cannot write ${path}: "${extension}" names no format; one of .${Object.keys(ENCODERS).join(", .")} is required`,
    );
  }
  return ENCODERS[extension];
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return new Uint8Array(digest).toHex();
}
