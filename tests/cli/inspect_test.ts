import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { command } from "../../tasks/commands/inspect.ts";
import { assertRefused, runCli, withFolder } from "./run_cli.ts";

const FIXTURES = fromFileUrl(new URL("../fixtures/", import.meta.url));
const CHECKPOINTS = new URL("../../../shared/data/checkpoints/", import.meta.url);
const { permissions } = command;

// deno-lint-ignore no-explicit-any
async function inspected(...paths: string[]): Promise<any[]> {
  const { code, stdout, stderr } = await runCli(["inspect", ...paths, "--json"], { permissions });
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1)!).files;
}

function present(name: string): boolean {
  try {
    return Deno.statSync(new URL(name, CHECKPOINTS)).isFile;
  } catch {
    return false;
  }
}

// Parameters: 432 + 16 * 2 in the stem, 3 blocks of two convolutions in each of 3 stages, and 64 * 10 + 10 in the head.
for (
  const [name, parameters, statistics] of [["resnet20-12fca82f.th", 269_722, 1_376], [
    "resnet56-4bfd9763.th",
    853_018,
    4_064,
  ]] as const
) {
  Deno.test({
    name: `swagpu inspect counts the parameters of ${name}`,
    ignore: !present(name),
    async fn() {
      const [file] = await inspected(fromFileUrl(new URL(name, CHECKPOINTS)));
      assertEquals([file.format, file.parameters, file.statistics], ["PyTorch (legacy)", parameters, statistics]);
      assertEquals(file.tensors[0], { name: "conv1.weight", dtype: "float32", shape: [16, 3, 3, 3] });
      assertEquals(file.tensors.at(-1), { name: "linear.bias", dtype: "float32", shape: [10] });
      assertMatch(file.metadata.best_prec1, /^9\d\./);
    },
  });
}

Deno.test("swagpu inspect names the format of each file by its content", async () => {
  const names = ["plain.pt", "dtypes.pth", "lightning.ckpt", "net.onnx", "arrays.npz", "tensor.pt"];
  const files = await inspected(...names.map((name) => `${FIXTURES}checkpoints/${name}`));
  assertEquals(files.map(({ format }) => format), [
    "PyTorch (zip)",
    "PyTorch (legacy)",
    "PyTorch (zip)",
    "ONNX",
    "NumPy archive",
    "PyTorch (zip)",
  ]);
  assertEquals(files[5].tensors.map(({ name }: { name: string }) => name), ["tensor"]);
});

Deno.test("swagpu inspect prints a table for people", async () => {
  const { code, stdout } = await runCli(["inspect", `${FIXTURES}checkpoints/net.onnx`], { permissions });
  assertEquals(code, 0);
  assertMatch(stdout, /^\S*net\.onnx: ONNX, \d+ bytes, \d+ tensors, \d+ parameters and \d+ running statistics\n/);
  assertMatch(stdout, /^ {2}\S+\.weight +float32 +\[\d+(, \d+)*\] +\d+$/m);
});

Deno.test("swagpu inspect finds the original's four files by their prefix, and the rank of a prior's own file", async () => {
  const files = await inspected(`${FIXTURES}priors/small`);
  assertEquals(files.map(({ path }) => path.split("small")[1]), [
    "_model.pt",
    "_mean.pt",
    "_variance.pt",
    "_covmat.pt",
  ]);
  const [rank, parameters] = files[3].tensors[0].shape;
  await withFolder(async (folder) => {
    const args = ["convert", "--in", `${FIXTURES}priors/small`, "--out", `${folder}/p.safetensors`];
    await runCli(args, { permissions: "--allow-read --allow-write" });
    const [prior] = await inspected(`${folder}/p.safetensors`);
    assertEquals([prior.rank, prior.parameters, prior.metadata.format], [rank, parameters, "swagpu-prior"]);
    const { stdout } = await runCli(["inspect", `${folder}/p.safetensors`], { permissions });
    assertStringIncludes(
      stdout,
      `${parameters} parameters and 8 running statistics, a learned prior of rank ${rank}\n`,
    );
  });
});

Deno.test("swagpu inspect describes a run's folder, also one that stopped in the middle of a line", async () => {
  await withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/config.json`, '{"sampler":"sghmc","seed":1}');
    Deno.writeTextFileSync(`${folder}/metrics.jsonl`, '{"step":1}\n{"step":2}\n{"st');
    Deno.mkdirSync(`${folder}/samples`);
    Deno.writeTextFileSync(`${folder}/samples/0.safetensors`, "12345");
    const [run] = await inspected(folder);
    assertEquals([run.format, run.config, run.metricRows, run.lastMetrics], [
      "run",
      { sampler: "sghmc", seed: 1 },
      2,
      { step: 2 },
    ]);
    assertEquals(run.files.map(({ name }: { name: string }) => name), [
      "config.json",
      "metrics.jsonl",
      "samples/0.safetensors",
    ]);
    const { stdout } = await runCli(["inspect", folder], { permissions });
    assertStringIncludes(stdout, "  samples/0.safetensors  5 bytes\n");
  });
});

Deno.test("swagpu inspect refuses a folder that is no run, and damaged settings", async () => {
  await withFolder(async (folder) => {
    assertRefused(
      await runCli(["inspect", folder], { permissions }),
      1,
      /Cannot read .*config\.json as a run's settings/,
    );
    Deno.writeTextFileSync(`${folder}/config.json`, '{"seed":');
    assertRefused(await runCli(["inspect", folder], { permissions }), 1, /Cannot read .*config\.json as JSON: /);
    Deno.writeTextFileSync(`${folder}/config.json`, "[1]");
    assertRefused(await runCli(["inspect", folder], { permissions }), 1, /found \[1\], a JSON object is required/);
  });
});

Deno.test("swagpu inspect refuses bytes of no format in one line", async () => {
  await withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/page.pth`, "<!DOCTYPE html><html></html>");
    assertRefused(
      await runCli(["inspect", `${folder}/page.pth`], { permissions }),
      1,
      /^swagpu inspect: Cannot read .*page\.pth /,
    );
    Deno.writeFileSync(`${folder}/noise.pt`, crypto.getRandomValues(new Uint8Array(4096)).fill(0xff, 0, 4));
    assertRefused(
      await runCli(["inspect", `${folder}/noise.pt`], { permissions }),
      1,
      /^swagpu inspect: Cannot read .*noise/,
    );
  });
});

Deno.test("swagpu inspect without a file is wrong usage", async () => {
  assertRefused(await runCli(["inspect"], { permissions }), 2, /inspect takes 1 or more\n$/);
});
