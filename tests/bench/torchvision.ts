/**
 * Every classifier of torchvision's list, imported from ONNX, against PyTorch on the same weights and images: logits in
 * both modes and the gradient of the loss. Writes `results/torchvision.md`:
 *
 * `deno run -A tests/bench/torchvision.ts [NAME...]`
 *
 * It needs PyTorch and torchvision as `/usr/bin/python3` finds them, or as the interpreter that `--python` names does.
 * Models that are in the table are skipped, so that a stopped bench goes on; delete a line to measure it again.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { openGpu } from "../../lib/gpu/device.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readFixture, recorded } from "../fixtures/fixture.ts";
import { distance, runNetwork } from "../onnx/compare.ts";
import { nchwToNhwc } from "../reference/layout.ts";

const RESULTS = new URL("results/torchvision.md", import.meta.url);
const EXPORTER = new URL("torchvision_models.py", import.meta.url).pathname;
const MODELS = [
  "resnet18",
  "squeezenet1_1",
  "squeezenet1_0",
  "mobilenet_v3_small",
  "shufflenet_v2_x0_5",
  "shufflenet_v2_x1_0",
  "mnasnet0_5",
  "mnasnet1_0",
  "mobilenet_v2",
  "mobilenet_v3_large",
  "regnet_y_400mf",
  "efficientnet_b0",
  "googlenet",
  "densenet121",
  "alexnet",
  "resnet34",
  "resnet50",
  "resnext50_32x4d",
  "vgg11",
  "vgg11_bn",
  "convnext_tiny",
  "swin_t",
  "efficientnet_b1",
  "efficientnet_b2",
  "inception_v3",
  "vit_b_16",
  "densenet169",
  "densenet201",
  "densenet161",
  "vgg13",
  "vgg13_bn",
  "vgg16",
  "vgg16_bn",
  "vgg19",
  "vgg19_bn",
  "wide_resnet50_2",
  "resnet101",
  "resnet152",
  "resnext101_32x8d",
  "wide_resnet101_2",
];

/** Bounds on relative errors; PyTorch's own float32 stands beside what is over them. */
const LOGITS_BOUND = 1e-4, GRADIENT_BOUND = 1e-3;

const HEADER = `# torchvision's classifiers, imported from ONNX

Each model is exported by torchvision 0.14 with BatchNorm unfolded, its initial weights and ten classes, and read by
\`lib/onnx\`; \`deno run -A tests/bench/torchvision.ts\` writes this page, and \`torchvision_models.py\` states what is
compared. Batches of 4. Errors are norms of differences relative to PyTorch's float64: of the logits in evaluation and in
training mode, and of the gradient of the training loss as one vector; in brackets those of PyTorch's own float32.
Bounds are ${LOGITS_BOUND} for logits and ${GRADIENT_BOUND} for gradients; the last column says where one is missed, or
why a model did not run. Measured on Mesa's lavapipe, two CPU cores.

| model | parameters, M | input | logits, evaluation | logits, training | gradient | remarks |
| --- | ---: | ---: | ---: | ---: | ---: | --- |
`;

/** How far from float64 something is. */
interface Errors {
  readonly evalLogits: number;
  readonly logits: number;
  readonly gradient: number;
}

/** Norm of the difference of all gradients over the norm of them all. */
function gradientError(
  found: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, ArrayLike<number>>,
): number {
  let difference = 0, norm = 0;
  for (const [name, values] of expected) {
    const own = found.get(name);
    if (own?.length !== values.length) throw new TypeError(`Cannot compare gradients: the import has no ${name}`);
    for (let i = 0; i < values.length; i++) {
      difference += (own[i] - values[i]) ** 2;
      norm += values[i] ** 2;
    }
  }
  return Math.sqrt(difference / norm);
}

function remarksOf(own: Errors, note: string): string {
  const missed = [
    ...own.evalLogits < LOGITS_BOUND && own.logits < LOGITS_BOUND ? [] : ["logits over the bound"],
    ...own.gradient < GRADIENT_BOUND ? [] : ["gradient over the bound"],
  ];
  return [note, ...missed].filter((text) => text !== "").join("; ");
}

/** The line of a model whose files are in `folder`. */
async function compare(name: string, folder: string): Promise<string> {
  const expected = readFixture(new URL(`file://${folder}/expected.bin`));
  const model = await readOnnxModel(await Deno.readFile(`${folder}/model.onnx`), name);
  const gradients = new Map(
    [...expected.tensors].filter(([key]) => key.startsWith("gradient "))
      .map(([key, { data }]) => [key.slice("gradient ".length), data as Float32Array]),
  );
  using gpu = await openGpu();
  const found = await runNetwork(gpu, onnxNetwork(model), {
    images: nchwToNhwc(recorded(expected, "images")),
    labels: Uint32Array.from(recorded(expected, "labels").data),
  });
  const own: Errors = {
    evalLogits: distance(found.evalLogits, recorded(expected, "evalLogits").data),
    logits: distance(found.logits, recorded(expected, "logits").data),
    gradient: gradientError(found.gradients, gradients),
  };
  const { size, note, parameters, float32 } = expected.config;
  const cells = (["evalLogits", "logits", "gradient"] as const)
    .map((key) => `${own[key].toExponential(1)} (${(float32[key] as number).toExponential(1)})`);
  const remarks = remarksOf(own, note);
  return `| ${name} | ${(parameters / 1e6).toFixed(1)} | ${size} | ${cells.join(" | ")} | ${remarks} |`;
}

/** Runs a command; its output, or, where it fails, the last line that says why. */
async function run(command: string, args: readonly string[]): Promise<{ line: string; failed: boolean }> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const last = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim().split("\n").at(-1) ?? "";
  return success ? { line: last(stdout), failed: false } : { line: last(stderr), failed: true };
}

/** The line of a model; each runs in processes of its own, so that one that dies takes nothing with it. */
async function measure(name: string, python: string): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "torchvision" });
  const refused = (why: string) => `| ${name} | | | | | | ${why.replaceAll("|", "/")} |`;
  try {
    const exported = await run(python, [EXPORTER, name, folder]);
    if (exported.failed) return refused(`not exported: ${exported.line}`);
    const script = new URL(import.meta.url).pathname;
    const compared = await run(Deno.execPath(), ["run", "-A", "--no-check", script, "--compare", folder, name]);
    return compared.failed ? refused(compared.line) : compared.line;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function linesOf(results: URL): Promise<string[]> {
  const text = await Deno.readTextFile(results).catch(() => "");
  return text.split("\n").filter((line) => MODELS.some((name) => line.startsWith(`| ${name} |`)));
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, { string: ["compare", "python"] });
  const names = flags._.map(String);
  if (flags.compare) {
    try {
      console.log(await compare(names[0], flags.compare));
    } catch (error) {
      console.error(String(error instanceof Error ? error.message : error).split("\n")[0]);
      Deno.exit(1);
    }
    return;
  }
  const unknown = names.find((name: string) => !MODELS.includes(name));
  if (unknown !== undefined) throw new RangeError(`Cannot measure ${unknown}: the models are ${MODELS.join(", ")}`);
  for (const name of names.length > 0 ? names : MODELS) {
    const done = await linesOf(RESULTS);
    if (done.some((line) => line.startsWith(`| ${name} |`))) continue;
    const line = await measure(name, flags.python ?? "/usr/bin/python3");
    console.log(line);
    const all = [...await linesOf(RESULTS), line];
    const ordered = MODELS.flatMap((model) => all.filter((each) => each.startsWith(`| ${model} |`)));
    await Deno.writeTextFile(RESULTS, `${HEADER}${ordered.join("\n")}\n`);
  }
}

if (import.meta.main) await main();
