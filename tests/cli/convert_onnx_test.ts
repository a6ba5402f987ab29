import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readNpy } from "../../lib/checkpoint/npy.ts";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import { readCifar10 } from "../../lib/data/cifar.ts";
import { onnxProto } from "../../lib/deps.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type ExportedWeights, writeOnnx } from "../../lib/models/export.ts";
import { initialWeights, stateDictFromWeights, type Weights } from "../../lib/models/weights.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readPrior, writePrior } from "../../lib/priors/files.ts";
import { writePriorParts } from "../../lib/priors/parts.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { command } from "../../tasks/commands/convert.ts";
import { openOnnx } from "../../tasks/commands/onnx_file.ts";
import { RunFolder } from "../../tasks/commands/run_writer.ts";
import { runJson, TINY, tinyPrior } from "../commands/task.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { withGpu } from "../gpu/harness.ts";
import { distance } from "../onnx/compare.ts";
import {
  inputOf,
  NORMALISATION,
  ownFeatures,
  ownLogits,
  randomImages,
  runOnnx,
  unevenWeights,
} from "../onnx/runtime.ts";
import { assertRefused, type CliResult, namesIn, runCli, withFolder } from "./run_cli.ts";

const SHARED = fromFileUrl(new URL("../../../shared/data/", import.meta.url));
const PERMISSIONS = { permissions: command.permissions };
const layouts = layoutModel(TINY);
const ENCODER = ["--encoder", "resnet8_narrow"];

function convert(...args: string[]): Promise<CliResult> {
  return runCli(["convert", ...args], PERMISSIONS);
}

async function converted(out: string, ...args: string[]): Promise<Uint8Array> {
  const { code, stderr } = await convert(...args, "--out", out);
  assertEquals([code, stderr], [0, ""]);
  return Deno.readFileSync(out);
}

/** `metadata_props`. */
function metadataOf(file: Uint8Array): Record<string, string> {
  const { metadataProps } = onnxProto.onnx.ModelProto.decode(file);
  return Object.fromEntries(metadataProps!.map(({ key, value }) => [key!, value!]));
}

function hasNormalisation(file: Uint8Array): boolean {
  return onnxProto.onnx.ModelProto.decode(file).graph!.node!.some(({ opType }) => opType === "BatchNormalization");
}

/** A run of two samples, as `infer` leaves it. */
async function makeRun(path: string, config: ClassifierConfig = TINY, record: object = config): Promise<Weights[]> {
  const layouts = layoutModel(config);
  const folder = await RunFolder.create(path, {
    flags: { sampler: "sghmc" },
    classifier: record,
    normalisation: NORMALISATION,
    classNames: Array.from("abcdefghij"),
  });
  const samples = [1, 2].map((seed) => unevenWeights(config, seed));
  for (const [index, weights] of samples.entries()) {
    await folder.writeSample(layouts, { chain: 0, step: 10 * (index + 1), logPrior: -5, weights });
  }
  return samples;
}

/** Asserts that ONNX Runtime computes with files what the device does: logits, or features where there is no head. */
async function assertComputes(
  files: readonly Uint8Array[],
  config: ClassifierConfig,
  { head, ...weights }: ExportedWeights,
): Promise<void> {
  const set = randomImages(2, config), shape = [2, 3, config.height, config.width];
  await withGpu({}, async (gpu) => {
    const own = head === undefined
      ? await ownFeatures(gpu, config, weights, set)
      : await ownLogits(gpu, config, { ...weights, head }, set);
    for (const file of files) {
      const { data } = await runOnnx(file, inputOf(set, NORMALISATION), shape);
      assertEquals(data.length, own.length);
      const error = distance(data, own);
      assert(error < 1e-5, `the ${head === undefined ? "features" : "logits"} differ by ${error}`);
    }
  });
}

function dictOf(weights: Weights): StateDict {
  return stateDictFromWeights(layouts, weights);
}

Deno.test("swagpu convert takes a checkpoint to ONNX and back unchanged", async () => {
  await withFolder(async (folder) => {
    const dict = dictOf(initialWeights(layouts, 3));
    Deno.writeFileSync(`${folder}/a.pth`, writeTorch(dict));
    const wrapped = new Map([...dict].map(([name, tensor]) => [`module.${name}`, tensor]));
    Deno.writeFileSync(`${folder}/a.safetensors`, writeSafetensors(wrapped));
    for (const name of ["a.pth", "a.safetensors"]) {
      const file = await converted(`${folder}/${name}.onnx`, "--in", `${folder}/${name}`, ...ENCODER);
      const { source, source_sha256, image_mean } = metadataOf(file);
      assertEquals([source, image_mean], [name, undefined]);
      assertMatch(source_sha256, /^[0-9a-f]{64}$/);
      for (const back of ["b.safetensors", "b.pt"]) {
        const bytes = await converted(`${folder}/${back}`, "--in", `${folder}/${name}.onnx`, "--force");
        assertEquals(await readCheckpoint(bytes, back), dict);
      }
    }
  });
});

Deno.test({
  name: "swagpu convert makes an ONNX file of the published ResNet-20 that gives PyTorch's logits",
  ignore: !await Deno.stat(SHARED).then(() => true, () => false),
  fn: () =>
    withFolder(async (folder) => {
      const set = await readCifar10([`${SHARED}cifar10/test_batch.bin`]);
      const { data } = readNpy(Deno.readFileSync(`${SHARED}checkpoints/resnet20_logits_test1000.npy`), "logits");
      const from = ["--in", `${SHARED}checkpoints/resnet20-12fca82f.th`, "--encoder", "resnet20"];
      const count = set.labels.length, shape = [count, 3, 32, 32];
      for (const more of [[], ["--fold"], ["--fold", "--normalisation", "imagenet", "--normalise-input"]]) {
        const file = await converted(`${folder}/net.onnx`, ...from, ...more, "--force");
        const found = await runOnnx(file, inputOf(set, more.length > 1 ? undefined : NORMALISATION), shape);
        assertEquals(found.shape, [count, 10]);
        assert(distance(found.data, data as Float32Array) < 1e-5);
      }
    }),
});

Deno.test("swagpu convert takes a run's sample to ONNX and to a checkpoint", async () => {
  await withFolder(async (folder) => {
    const samples = await makeRun(`${folder}/run`), from = ["--run", `${folder}/run`];
    const last = await converted(`${folder}/last.onnx`, ...from);
    assertEquals(await readCheckpoint(last, "last"), dictOf(samples[1]));
    const { source, source_sha256: _, software, ...facts } = metadataOf(last);
    assertMatch(source, /^samples\/chain0_step0*20\.safetensors$/);
    assertMatch(software, /^swagpu \d/);
    assertEquals(facts, {
      architecture: "resnet8_narrow",
      batch_norm: "kept",
      image_range: "0 to 1",
      image_mean: "0.485,0.456,0.406",
      image_std: "0.229,0.224,0.225",
      image_normalisation: "required of the input",
      classes: '["a","b","c","d","e","f","g","h","i","j"]',
      weights: "sample of a posterior",
      chain: "0",
      step: "20",
      log_prior: "-5",
      sampler: "sghmc",
    });
    const folded = await converted(`${folder}/folded.onnx`, ...from, "--sample", "0", "--fold");
    assertEquals([hasNormalisation(last), hasNormalisation(folded)], [true, false]);
    assertEquals(metadataOf(folded).step, "10");
    await assertComputes([last], TINY, samples[1]);
    await assertComputes([folded], TINY, samples[0]);
    const plain = await converted(`${folder}/first.safetensors`, ...from, "--sample", "0");
    const { tensors, metadata } = readSafetensors(plain);
    assertEquals(tensors, dictOf(samples[0]));
    assertEquals(metadata.step, "10");
  });
});

Deno.test("swagpu convert takes a prior's mean, from one file or four, to an ONNX file of features", async () => {
  await withFolder(async (folder) => {
    const uneven = unevenWeights(TINY), { state } = uneven, fresh = tinyPrior();
    const model = new Map([...fresh.model, ...stateDictFromWeights(layouts, uneven, ["state"])]);
    const prior = { ...fresh, model };
    Deno.writeFileSync(`${folder}/prior.safetensors`, writePrior(prior));
    for (const [part, bytes] of Object.entries(writePriorParts(prior))) {
      Deno.writeFileSync(`${folder}/parts_${part}.pt`, bytes);
    }
    const one = await converted(`${folder}/one.onnx`, "--in", `${folder}/prior.safetensors`);
    await assertComputes([one], TINY, { backbone: prior.swag.mean, state });
    assertEquals(metadataOf(one).weights, "mean of a learned prior");
    const found = await readCheckpoint(one, "one");
    assertEquals(found, new Map([...prior.model].map(([name]) => [name, found.get(name)!])));
    const mean = prior.parameters.flatMap(({ name }) => [...found.get(name)!.data as Float32Array]);
    assertEquals(Float32Array.from(mean), prior.swag.mean);
    const parts = ["--in", `${folder}/parts`, "--prior-normalisation", "normalised"];
    const four = await converted(`${folder}/four.onnx`, ...parts, ...ENCODER);
    assertEquals(await readCheckpoint(four, "four"), found);
    const refused = await convert(...parts, "--out", `${folder}/none.onnx`);
    assertRefused(refused, 2, /without --encoder or --onnx: nothing else states the network/);
    const other = await convert(...parts, "--out", `${folder}/none.onnx`, "--encoder", "resnet8");
    assertRefused(other, 1, /Cannot use a prior over .* parameters/);
  });
});

Deno.test("swagpu convert halves a prior, states the error, and every command reads the half", async () => {
  await withFolder(async (folder) => {
    const prior = tinyPrior(), half = `${folder}/half.safetensors`;
    Deno.writeFileSync(`${folder}/prior.safetensors`, writePrior(prior));
    const from = ["--in", `${folder}/prior.safetensors`, "--out", half, "--dtype", "float16"];
    const { stdout } = await convert(...from);
    assertMatch(
      stdout,
      /\nvariance: largest relative error \d\.\de-4; largest error \d\.\de-\d of the largest element\n/,
    );
    const { errors } = await runJson(["convert", ...from, "--force"]);
    assertEquals(errors, JSON.parse(readSafetensors(Deno.readFileSync(half)).metadata["storage.error"]));
    assert(Deno.statSync(half).size < 0.6 * Deno.statSync(`${folder}/prior.safetensors`).size);

    const again = readPrior(await converted(`${folder}/again.safetensors`, "--in", half));
    assertEquals(again, readPrior(Deno.readFileSync(half)));
    const apart = again.swag.mean.map((value, i) => Math.abs(value - prior.swag.mean[i]));
    assert(Math.max(...apart) > 0 && Math.max(...apart) <= errors.mean.ofLargest * Math.max(...prior.swag.mean));
    const { files: [inspected] } = await runJson(["inspect", half]);
    assertEquals([inspected.parameters, inspected.rank], [prior.swag.mean.length, 3]);
    const { code } = await convert("--in", half, "--out", `${folder}/parts`);
    assertEquals([code, namesIn(folder).filter((name) => name.startsWith("parts_")).length], [0, 4]);
    const infer = ["infer", ...ENCODER, "--train-dataset", "procedural-downstream", "--num-of-train-examples", "20"];
    const planned = await runJson([...infer, "--prior-path", half, "--out", `${folder}/run`, "--dry-run"]);
    assertEquals(planned.out, null);
  });
});

Deno.test("swagpu convert refuses what it cannot put into an ONNX file, and leaves nothing behind", async () => {
  await withFolder(async (folder) => {
    await makeRun(`${folder}/run`);
    const checkpoint = `${folder}/a.pt`, prior = `${folder}/prior.safetensors`;
    Deno.writeFileSync(checkpoint, writeTorch(dictOf(initialWeights(layouts, 3))));
    Deno.writeFileSync(prior, writePrior(tinyPrior()));
    const run = ["--run", `${folder}/run`], file = ["--in", checkpoint];
    const out = ["--out", `${folder}/b.onnx`], plain = ["--out", `${folder}/b.safetensors`];
    const before = namesIn(folder);
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [[...file, ...out], 2, /without --encoder or --onnx: nothing else states the network/],
      [[...file, ...out, "--encoder", "resnet9"], 2, /Cannot build encoder resnet9: the known ones are /],
      [[...file, ...out, "--encoder", "resnet20"], 1, /missing \(layer1\.1\.conv1\.weight, /],
      [[...file, ...out, ...ENCODER, "--normalise-input"], 2, /--normalise-input without --normalisation/],
      [[...file, ...out, ...ENCODER, "--normalisation", "x"], 2, /Cannot normalise images by "x"/],
      [[...file, ...out, ...ENCODER, "--dtype", "float16"], 2, /--dtype float16: what is read is no learned prior/],
      [[...file, ...plain, "--fold"], 2, /Cannot use --fold: .*b\.safetensors is no \.onnx file/],
      [[...file, ...out, ...ENCODER, "--sample", "0"], 2, /Cannot use --sample without --run/],
      [[...file, ...run, ...out], 2, /exactly one of --in and --run is required/],
      [[...run, ...out, "--sample", "2"], 2, /Cannot take sample 2 of .*run: it holds 2, from 0 to 1/],
      [[...run, ...out, ...ENCODER], 2, /Cannot use --encoder: the run .*run has its own/],
      [[...run, ...out, "--onnx", "net.onnx"], 2, /Cannot use --onnx: the run .*run has a network of its own, resnet8/],
      [[...file, ...plain, "--onnx", "net.onnx"], 2, /Cannot use --onnx: .*b\.safetensors is no \.onnx file/],
      [[...file, ...out, ...ENCODER, "--onnx", "net.onnx"], 2, /Cannot use --encoder with --onnx/],
      [[...file, ...out, ...ENCODER, "--head", "fc"], 2, /Cannot use --head without --onnx/],
      [[...file, ...out, "--onnx", `${folder}/none.onnx`], 1, /Cannot read .*none\.onnx as an ONNX network/],
      [["--run", folder, ...out], 1, /Cannot read .*config\.json as a run's settings/],
      [["--in", prior, ...out, "--dtype", "float16"], 2, /--dtype float16: .*b\.onnx is no \.safetensors file/],
      [["--in", prior, "--out", `${folder}/p`, "--dtype", "float16"], 2, /the original's four files are in float32/],
    ];
    for (const [args, code, message] of cases) {
      assertRefused(await convert(...args), code, message);
      assertEquals(namesIn(folder), before);
    }
    Deno.writeTextFileSync(`${folder}/b.onnx`, "precious");
    assertRefused(await convert(...run, ...out), 1, /b\.onnx: it exists/);
    assertEquals(Deno.readTextFileSync(`${folder}/b.onnx`), "precious");
    const [{ file: sample }] = JSON.parse(Deno.readTextFileSync(`${folder}/run/samples/manifest.json`)).samples;
    Deno.writeFileSync(`${folder}/run/${sample}`, new Uint8Array(100));
    assertRefused(await convert(...run, ...out, "--sample", "0", "--force"), 1, /its SHA-256 is /);
  });
});

/** MobileNet as a file, its network, and fresh weights with a head of 7 classes. */
async function makeImported(path: string) {
  const { bytes, size } = await readOnnxFixture("mobilenet");
  Deno.writeFileSync(path, bytes);
  const { network, record } = await openOnnx(path);
  const shape = { numClasses: 7, height: size, width: size };
  const config: ClassifierConfig = { encoder: "mobilenet.onnx", network, ...shape };
  const layouts = layoutModel(config);
  return { bytes, network, record, config, shape, layouts, weights: unevenWeights(config, 5) };
}

const INPUT = new Float32Array(3 * 32 * 32).map((_, i) => Math.sin(i));

async function logitsOf(file: Uint8Array | string): Promise<Float32Array> {
  return (await runOnnx(file, INPUT, [1, 3, 32, 32])).data;
}

Deno.test("swagpu convert writes an imported network once more, folded, and with other weights", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/mobilenet.onnx`;
    const { bytes, network, layouts, weights, config } = await makeImported(path);
    const kept = await converted(`${folder}/kept.onnx`, "--in", path);
    const folded = await converted(`${folder}/folded.onnx`, "--in", path, "--fold");
    assertEquals([hasNormalisation(kept), hasNormalisation(folded)], [true, false]);
    const inEvaluation = network.model.nodes.map((node) => (
      { ...node, attributes: new Map([...node.attributes].filter(([name]) => name !== "training_mode")) }
    ));
    assertEquals((await readOnnxModel(kept, "kept")).nodes, inEvaluation);
    const original = await logitsOf(bytes);
    for (const file of [kept, folded]) assert(distance(await logitsOf(file), original) < 1e-5);

    // A pipe gives its bytes once: the file is read once, and what is hashed is what is converted.
    const pipe = `${folder}/pipe`;
    assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
    const writer = new Deno.Command("sh", { args: ["-c", `cat '${path}' > '${pipe}'`] }).spawn();
    const piped = await converted(`${folder}/piped.onnx`, "--in", pipe);
    await writer.status;
    assertEquals(metadataOf(piped)["source_sha256"], metadataOf(kept)["source_sha256"]);
    assertEquals((await readOnnxModel(piped, "piped")).nodes, inEvaluation);

    // Names as wrappers write them.
    const dict = [...stateDictFromWeights(layouts, weights)];
    const wrapped = new Map(dict.map(([name, tensor]) => [`module.${name}`, tensor]));
    Deno.writeFileSync(`${folder}/a.safetensors`, writeSafetensors(wrapped));
    const other = await converted(`${folder}/b.onnx`, "--in", `${folder}/a.safetensors`, "--onnx", path);
    assertEquals((await logitsOf(other)).length, 7);
    assertEquals([...await readCheckpoint(other, "other")].sort(), dict.sort());
    assertEquals(other, writeOnnx(config, weights, { metadata: metadataOf(other) }).model);
  });
});

Deno.test("swagpu convert takes samples of a run on an imported network, wherever its file lies now", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/mobilenet.onnx`, run = ["--run", `${folder}/run`];
    const { config, record, shape, layouts } = await makeImported(path);
    const samples = await makeRun(`${folder}/run`, config, { encoder: "mobilenet.onnx", ...shape, onnx: record });
    const file = await converted(`${folder}/a.onnx`, ...run);
    assertEquals(metadataOf(file).architecture, "mobilenet.onnx");
    const dict = stateDictFromWeights(layouts, samples[1]);
    assertEquals([...await readCheckpoint(file, "a")].sort(), [...dict].sort());
    const folded = await converted(`${folder}/b.onnx`, ...run, "--fold");
    assert(hasNormalisation(file) && !hasNormalisation(folded));
    await assertComputes([file, folded], config, samples[1]);

    Deno.renameSync(path, `${folder}/moved.onnx`);
    const out = ["--out", `${folder}/c.onnx`], before = namesIn(folder);
    assertRefused(await convert(...run, ...out), 1, /there is no network .*mobilenet\.onnx.*--onnx says where it lies/);
    assertRefused(await convert(...run, ...out, "--onnx", `${folder}/a.onnx`), 1, /the SHA-256 of its network's file/);
    assertEquals(namesIn(folder), before);
    const moved = ["--onnx", `${folder}/moved.onnx`];
    assertEquals(await converted(`${folder}/c.onnx`, ...run, ...moved), file);
    const plain = readSafetensors(await converted(`${folder}/c.safetensors`, ...run, ...moved));
    assertEquals(plain.tensors, dict);
  });
});

Deno.test("swagpu convert takes the mean of a prior over an imported network to features", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/mobilenet.onnx`, prior = `${folder}/prior.safetensors`;
    const { layouts, weights, config } = await makeImported(path);
    const swag = { mean: weights.backbone, variance: weights.backbone.map(() => 1e-4), covFactor: [] };
    const parameters = layouts.backbone.entries.map(({ name, torchShape }) => ({ name, shape: torchShape }));
    const model = stateDictFromWeights(layouts, weights, ["backbone", "state"]);
    const metadata = { architecture: "mobilenet.onnx", source: "", sourceSha256: "", software: "" };
    Deno.writeFileSync(prior, writePrior({ swag, parameters, model, metadata }));
    const file = await converted(`${folder}/mean.onnx`, "--in", prior, "--onnx", path);
    await assertComputes([file], config, { backbone: weights.backbone, state: weights.state });
    assertEquals([...await readCheckpoint(file, "mean")].sort(), [...model].sort());
    const refused = await convert("--in", prior, "--out", `${folder}/none.onnx`);
    assertRefused(refused, 2, /Cannot build encoder mobilenet\.onnx: the known ones are /);
  });
});

Deno.test("swagpu convert reads an ONNX file whose tensors lie beside it, and nothing outside its folder", async () => {
  await withFolder(async (folder) => {
    const dict = dictOf(initialWeights(layouts, 3));
    const split = writeOnnx(TINY, initialWeights(layouts, 3), { maxBytes: 30_000, dataName: "net.onnx.data" });
    Deno.mkdirSync(`${folder}/net`);
    const path = `${folder}/net/net.onnx`;
    Deno.writeFileSync(path, split.model);
    const out = `${folder}/a.safetensors`;
    assertRefused(await convert("--in", path, "--out", out), 1, /Cannot read .*net\.onnx\.data as a part of /);
    Deno.writeFileSync(`${folder}/net/net.onnx.data`, split.data!);
    assertEquals(readSafetensors(await converted(out, "--in", path)).tensors, dict);
    const whole = await converted(`${folder}/whole.onnx`, "--in", path);
    assertEquals(await logitsOf(whole), await logitsOf(path));
    for (const location of ["../secret", "/etc/passwd"]) {
      const { model } = writeOnnx(TINY, initialWeights(layouts, 3), { maxBytes: 30_000, dataName: location });
      Deno.writeFileSync(path, model);
      for (const to of [out, `${folder}/b.onnx`]) {
        const result = await convert("--in", path, "--out", to, "--force");
        assertRefused(result, 1, /lies in ".*"; a path inside the model's folder is required/);
      }
    }
    assertEquals(namesIn(folder), ["a.safetensors", "net", "whole.onnx"]);
  });
});
