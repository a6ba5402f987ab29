/**
 * ONNX's own checker on the export of every network that can be named, and of every imported one that tests have:
 * `deno run -A tests/bench/onnx_checker.ts [--at-most M]` writes `results/onnx_checker.md`. M is the most parameters, in
 * millions, of a network that is checked.
 *
 * It needs the package `onnx` of `/usr/bin/python3`, as Debian's python3-onnx is. It exits with 1 where a file is refused.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { layoutModel } from "../../lib/models/device_model.ts";
import { writeOnnx } from "../../lib/models/export.ts";
import { type ClassifierConfig, ENCODERS } from "../../lib/models/network.ts";
import { onnxProto } from "../../lib/deps.ts";
import { checkerVersion, checkFolder, IMPORTED, importedFixture, writeAllWays } from "../onnx/checker.ts";
import { NORMALISATION } from "../onnx/runtime.ts";

const RESULTS = new URL("results/onnx_checker.md", import.meta.url);
/** Sides of the images: transformers and Inception are built for those of their weights. */
const sideOf = (encoder: string) => /^(vit|swin|inception)/.test(encoder) ? 224 : /^resnet\d+/.test(encoder) ? 64 : 96;

/** What was said of a network's files. */
interface Row {
  readonly name: string;
  readonly opset: number;
  readonly parameters: number;
  readonly verdicts: ReadonlyMap<string, string>;
}

function configOf(encoder: string): ClassifierConfig {
  return { encoder, numClasses: 10, height: sideOf(encoder), width: sideOf(encoder) };
}

function countOf(config: ClassifierConfig): number {
  const { backbone, head } = layoutModel(config);
  return backbone.count + head.count;
}

/** The checker looks at shapes and types, not at values: zeros. Files past 2 GiB are two. */
async function writeNamed(folder: string, config: ClassifierConfig): Promise<void> {
  const layouts = layoutModel(config),
    zeros = (part: "backbone" | "state" | "head") => new Float32Array(layouts[part].count);
  const weights = { backbone: zeros("backbone"), state: zeros("state"), head: zeros("head") };
  const folding = { fold: true, normalisation: NORMALISATION, normaliseInput: true };
  for (const [way, options] of Object.entries({ kept: {}, folded: folding, features: {} })) {
    const name = `${config.encoder}_${way}`, { head, ...others } = weights;
    const written = writeOnnx(config, way === "features" ? others : { ...others, head }, {
      ...options,
      dataName: `${name}.onnx.data`,
    });
    await Deno.writeFile(`${folder}/${name}.onnx`, written.model);
    if (written.data !== undefined) await Deno.writeFile(`${folder}/${name}.onnx.data`, written.data);
  }
}

async function opsetOf(folder: string, name: string): Promise<number> {
  const { opsetImport } = onnxProto.onnx.ModelProto.decode(await Deno.readFile(`${folder}/${name}.onnx`));
  return Number(opsetImport![0].version);
}

async function rowOf(name: string, config: ClassifierConfig, write: (folder: string) => Promise<void>): Promise<Row> {
  const folder = await Deno.makeTempDir({ prefix: "onnx-checker" });
  try {
    await write(folder);
    const opset = await opsetOf(folder, `${name}_kept`), found = await checkFolder(folder);
    const verdicts = new Map([...found].map(([file, verdict]) => [file.slice(name.length + 1), verdict]));
    return { name, opset, parameters: countOf(config), verdicts };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function lineOf({ name, opset, parameters, verdicts }: Row): string {
  const accepted = [...verdicts].filter(([, verdict]) => verdict === "accepted").map(([way]) => way);
  const refused = [...verdicts].filter(([, verdict]) => verdict !== "accepted");
  const cell = refused.map(([way, verdict]) => `${way}: ${verdict.replaceAll("|", "/")}`).join("; ");
  return `| ${name} | ${(parameters / 1e6).toFixed(2)} | ${opset} | ${accepted.join(", ")} | ${cell} |`;
}

function pageOf(version: string, rows: readonly Row[], left: readonly string[]): string {
  const files = rows.reduce((sum, { verdicts }) => sum + verdicts.size, 0);
  const refused = rows.flatMap(({ verdicts }) => [...verdicts.values()].filter((verdict) => verdict !== "accepted"));
  return `# What ONNX's own checker says of exported networks

\`onnx.checker.check_model(path, full_check=True)\` of onnx ${version}, which infers types and shapes as well, on
${
    new Date().toISOString().slice(0, 10)
  }; \`deno run -A tests/bench/onnx_checker.ts\` writes this page. ${files} files of
${rows.length} networks, ${refused.length} refused. Ways: BatchNorm kept; folded, and the input normalised in the file; split into a
model and a file of tensors; and without the head. Named networks are of ten classes and in opset 17, imported ones, the
recorded ones of the tests, keep their own. This version knows opsets up to 17: of opset 18 nothing is shown.
${left.length > 0 ? `Not checked, as larger than was asked for: ${left.join(", ")}.\n` : ""}
| network | parameters, M | opset | accepted | refused |
| --- | ---: | ---: | --- | --- |
${rows.map(lineOf).join("\n")}
`;
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, { string: ["at-most"] }), most = Number(flags["at-most"] ?? Infinity) * 1e6;
  const version = await checkerVersion();
  if (version === undefined) throw new Error("Cannot check: /usr/bin/python3 has no package onnx");
  const rows: Row[] = [], left = ENCODERS.filter((encoder) => countOf(configOf(encoder)) > most);
  const add = (row: Row) => {
    rows.push(row);
    console.log(lineOf(row));
  };
  for (const encoder of ENCODERS.filter((encoder) => !left.includes(encoder))) {
    const config = configOf(encoder);
    add(await rowOf(encoder, config, (folder) => writeNamed(folder, config)));
  }
  for (const key of Object.keys(IMPORTED)) {
    const [config, weights] = await importedFixture(key);
    add(await rowOf(key, config, (folder) => writeAllWays(folder, key, config, weights)));
  }
  await Deno.writeTextFile(RESULTS, pageOf(version, rows, left));
  if (rows.some(({ verdicts }) => [...verdicts.values()].some((verdict) => verdict !== "accepted"))) Deno.exit(1);
}

if (import.meta.main) await main();
