/**
 * `swagpu data`: downloads a data set and arranges it.
 *
 * @module
 */

import { resolveName } from "../../lib/data/load.ts";
import { parseClassList } from "../../lib/data/imagenet.ts";
import { UsageError } from "../../lib/errors.ts";
import { readInput } from "../cli/files.ts";
import { REPORT_FLAGS } from "../cli/flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import type { Progress } from "../cli/progress.ts";
import { prepare } from "../data/prepare.ts";
import type { Prepared } from "../data/record.ts";
import { customSource, type Source, SOURCES } from "../data/sources.ts";

/** Flags of `data`. */
export const command = defineCommand({
  name: "data",
  summary: "download a data set from its official address, check it, unpack it and arrange it",
  permissions: "--allow-net=HOST --allow-read --allow-write",
  operands: {
    name: "ACTION NAME",
    help: `prepare and one of ${
      Object.keys(SOURCES).join(", ")
    }, custom; the message of a missing permission names HOST`,
    min: 2,
    max: 2,
  },
  flags: {
    dataDir: {
      type: "string",
      required: true,
      value: "DIR",
      group: "Data",
      help: "folder for the data set, and for others whose names differ; archives that lie there are not downloaded",
    },
    url: {
      type: "string",
      value: "URL",
      group: "Data",
      help: "address below which the files lie, or of the only file, instead of the official one; custom needs it",
    },
    unverified: {
      type: "boolean",
      group: "Data",
      help: "do not compare with the published digests, for a mirror that packed the files anew",
    },
    keepArchives: { type: "boolean", group: "Data", help: "leave the archives in --data-dir" },
    classList: {
      type: "string",
      value: "FILE",
      group: "Data",
      help: "imagenet100, imagenet: the classes to take, one WordNet number a line",
    },
    ...REPORT_FLAGS,
  },
  examples: [
    "data prepare cifar10 --data-dir data",
    "data prepare cifar10-c --data-dir data",
    "data prepare oxfordpets --data-dir pets --url https://mirror.example/pets",
  ],
});

type Flags = FlagsOf<typeof command>;

function sourceOf(name: string, { url }: Flags): Source {
  if (name === "custom") {
    if (url === undefined) {
      throw new UsageError("Cannot prepare custom: the address of its archive is required (--url)");
    }
    const source = customSource(requireAddress(url));
    if (/\.(tar|tar\.gz|tgz|zip)$/i.test(source.files[0].name)) return source;
    throw new UsageError(`Cannot use --url ${url}: an address that ends in .tar, .tar.gz, .tgz or .zip is required`);
  }
  if (!Object.hasOwn(SOURCES, name)) {
    throw new UsageError(
      `Cannot prepare ${name}: it has no address; known are ${Object.keys(SOURCES).join(", ")}, custom`,
    );
  }
  if (url !== undefined) requireAddress(url);
  return SOURCES[name];
}

function requireAddress(url: string): string {
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return url;
  throw new UsageError(`Cannot use --url ${url}: an address beginning with http:// or https:// is required`);
}

async function classesOf(name: string, { classList }: Flags): Promise<readonly string[] | undefined> {
  if (classList !== undefined) {
    return parseClassList(new TextDecoder().decode(await readInput(classList, "a list of classes")), classList);
  }
  if (name !== "imagenet100") return undefined;
  throw new UsageError("Cannot prepare imagenet100: the list of its 100 classes is required (--class-list)");
}

/** Runs `data`. */
export async function run(flags: Flags, io: Io): Promise<number> {
  const [action, given] = flags.operands;
  if (action !== "prepare") throw new UsageError(`Cannot run data ${action}: prepare is required`);
  const name = resolveName(given).replace(/^(cifar10\.1)-v\d$/, "$1");
  const source = sourceOf(name, flags);
  const classes = await classesOf(name, flags);
  let progress: Progress | undefined;
  const prepared = await prepare({
    name,
    source,
    folder: flags.dataDir.replace(/(.)[\\/]+$/, "$1"),
    url: flags.url,
    unverified: flags.unverified,
    keepArchives: flags.keepArchives,
    classes,
    onStage(text) {
      progress?.finish();
      progress = undefined;
      io.note(text);
    },
    onProgress(bytes, total) {
      if (total === undefined) return;
      progress ??= io.progress("KiB", Math.ceil(total / 1024));
      progress.update({ step: Math.ceil(bytes / 1024) });
    },
  }).finally(() => progress?.finish());
  io.result({ out: flags.dataDir, ...prepared }, resultLines(flags.dataDir, prepared));
  return 0;
}

function resultLines(folder: string, { name, files, already }: Prepared & { already: boolean }): string[] {
  return [
    `${name} is ${already ? "there already" : "ready"} in ${folder}`,
    ...files.map(({ name, bytes, sha256, verified }) =>
      `${name}  ${bytes} bytes  sha256 ${sha256}${verified === undefined ? "  (no published digest compared)" : ""}`
    ),
  ];
}
