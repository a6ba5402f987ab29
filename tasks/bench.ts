/**
 * `deno task bench`: validates, then times training steps, kernels, samplers and growth, against other systems on the
 * same adapter in the same run.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { UsageError } from "../lib/errors.ts";
import { type Gpu, openGpu } from "../lib/gpu/device.ts";
import { convolutions } from "./bench/convolutions.ts";
import { memory } from "./bench/flat.ts";
import { growth } from "./bench/growth.ts";
import { jaxPeer } from "./bench/peers/jax.ts";
import type { Peer } from "./bench/peers/peer.ts";
import { pytorchPeer } from "./bench/peers/pytorch.ts";
import { tfjsPeer } from "./bench/peers/tfjs.ts";
import { samplers } from "./bench/samplers.ts";
import type { Context, Section } from "./bench/section.ts";
import { start } from "./bench/start.ts";
import { steps } from "./bench/steps.ts";
import { markdownOf, objectOf, type Table } from "./bench/table.ts";
import { tuning } from "./bench/tuning.ts";
import { commandHelp } from "./cli/help.ts";
import { defineCommand, type FlagsOf, parseFlags } from "./cli/flags.ts";

const SECTIONS: Readonly<Record<string, Section>> = { steps, convolutions, memory, samplers, start, growth, tuning };
/** Sections that run where none is named: a search takes minutes on a CPU. */
const USUAL = Object.keys(SECTIONS).filter((name) => name !== "tuning");
const PEERS: Readonly<Record<string, (flags: Flags) => Peer>> = {
  tfjs: () => tfjsPeer,
  jax: () => jaxPeer,
  pytorch: ({ python }) => pytorchPeer(python),
};

const command = defineCommand({
  name: "bench",
  summary: "validate, then time training steps, kernels, samplers and growth against other systems",
  permissions: "-A",
  flags: {
    only: {
      type: "list",
      value: "NAME",
      group: "What",
      help: `sections: ${Object.keys(SECTIONS).join(", ")}; all but tuning unless given`,
    },
    peers: {
      type: "list",
      default: ["tfjs", "jax", "pytorch"],
      value: "NAME",
      group: "What",
      help: "systems to compare with: tfjs, jax, pytorch, or none",
    },
    networks: {
      type: "list",
      default: ["resnet20", "resnet18", "resnet50"],
      value: "NAME",
      group: "What",
      help: "networks whose whole steps are timed",
    },
    resnet20Batch: { type: "list", default: ["64", "128"], value: "N", group: "What", help: "batches of ResNet-20" },
    resnet18Batch: { type: "integer", min: 1, group: "What", help: "batch of ResNet-18 at 224; 8, or 64 on a GPU" },
    resnet50Batch: { type: "integer", min: 1, group: "What", help: "batch of ResNet-50 at 224; 4, or 64 on a GPU" },
    parameters: {
      type: "integer",
      default: 2 ** 24,
      min: 64,
      group: "What",
      help: "length of the vectors of the flat kernels",
    },
    largestBatch: { type: "integer", default: 256, min: 1, group: "What", help: "end of the growth with the batch" },
    rounds: { type: "integer", default: 5, min: 1, group: "Timing", help: "rounds, of which the median counts" },
    seconds: { type: "number", default: 1, min: 0, group: "Timing", help: "length of a measured group of steps" },
    python: { type: "string", default: "/usr/bin/python3", value: "FILE", group: "What", help: "Python with PyTorch" },
    out: {
      type: "string",
      default: "tests/bench/results/bench.md",
      value: "FILE",
      group: "Output",
      help: "Markdown file to write",
    },
    json: { type: "boolean", group: "Output", help: "print one JSON object as the last line of stdout" },
  },
});

type Flags = FlagsOf<typeof command>;

/** The members of `table` that a list names, in the table's order. */
function chosen<T>(table: Readonly<Record<string, T>>, names: readonly string[], what: string): [string, T][] {
  const unknown = names.find((name) => !Object.hasOwn(table, name));
  if (unknown !== undefined) {
    throw new UsageError(`Cannot bench ${what} ${unknown}: one of ${Object.keys(table).join(", ")} is required`);
  }
  return Object.entries(table).filter(([name]) => names.includes(name));
}

function contextOf(flags: Flags, gpu: Gpu): Context {
  const onCpu = gpu.adapter.isCpu;
  const batches: Record<string, number[]> = {
    resnet20: flags.resnet20Batch.map(Number),
    resnet18: [flags.resnet18Batch ?? (onCpu ? 8 : 64)],
    resnet50: [flags.resnet50Batch ?? (onCpu ? 4 : 64)],
  };
  if (!batches.resnet20.every((batch) => Number.isInteger(batch) && batch > 0)) {
    throw new UsageError(`Cannot use --resnet20-batch=${flags.resnet20Batch}: positive whole numbers are required`);
  }
  const peers = flags.peers.filter((name) => name !== "none");
  return {
    gpu,
    peers: chosen(PEERS, peers, "peer").map(([, make]) => make(flags)),
    effort: flags,
    batches: new Map(chosen(batches, flags.networks, "network")),
    parameters: Math.ceil(flags.parameters / 64) * 64,
    largestBatch: flags.largestBatch,
    log: (line) => console.error(line),
  };
}

/** A section's tables; one that fails is a table with the reason. */
async function tablesOf(name: string, section: Section, context: Context): Promise<{ tables: Table[]; ok: boolean }> {
  try {
    return { tables: await section(context), ok: true };
  } catch (error) {
    const rows = [[name, (error as Error).message]];
    const note = "The section was given up.";
    return { tables: [{ title: `Failure of ${name}`, note, columns: ["section", "reason"], rows }], ok: false };
  }
}

async function run(flags: Flags): Promise<number> {
  const sections = chosen(SECTIONS, flags.only.length > 0 ? flags.only : USUAL, "section");
  using gpu = await openGpu();
  const context = contextOf(flags, gpu);
  const { description, vendor, device } = gpu.adapter;
  const about = {
    date: new Date().toISOString().slice(0, 16) + "Z",
    adapter: description || device,
    driver: [vendor, device].filter((text) => text !== "").join(" ") || "not stated",
    host: `${navigator.hardwareConcurrency} threads, ${Deno.build.target}, Deno ${Deno.version.deno}`,
    command: ["deno task bench", ...Deno.args].join(" "),
  };
  const tables: Table[] = [];
  let allOk = true;
  for (const [name, section] of sections) {
    const { tables: found, ok } = await tablesOf(name, section, context);
    tables.push(...found);
    allOk &&= ok;
  }
  const facts = Object.entries(about).map(([name, value]) => `- ${name}: ${value}`);
  const text = ["# Bench", facts.join("\n"), ...tables.map(markdownOf)].join("\n\n") + "\n";
  await Deno.mkdir(flags.out.replace(/[^/]*$/, "") || ".", { recursive: true });
  await Deno.writeTextFile(flags.out, text);
  console.log(flags.json ? JSON.stringify({ ...about, out: flags.out, tables: tables.map(objectOf) }) : text);
  return allOk ? 0 : 1;
}

if (import.meta.main) {
  if (Deno.args.includes("--help")) {
    console.log(commandHelp(command).replace(/^Usage: .*$/m, "Usage: deno task bench [flags]"));
    Deno.exit(0);
  }
  try {
    Deno.exit(await run(parseFlags(command, Deno.args)));
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
