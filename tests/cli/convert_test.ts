import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readNpz } from "../../lib/checkpoint/npy.ts";
import { readSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { readPrior } from "../../lib/priors/files.ts";
import { command } from "../../tasks/commands/convert.ts";
import { assertRefused, type CliResult, namesIn, runCli, withFolder } from "./run_cli.ts";

const FIXTURES = fromFileUrl(new URL("../fixtures/", import.meta.url));
const PLAIN = `${FIXTURES}checkpoints/plain.pt`;

function convert(from: string, to: string, ...more: string[]): Promise<CliResult> {
  return runCli(["convert", "--in", from, "--out", to, ...more], { permissions: command.permissions });
}

async function converted(from: string, to: string, ...more: string[]): Promise<Uint8Array> {
  const { code, stderr } = await convert(from, to, ...more);
  assertEquals([code, stderr], [0, ""]);
  return Deno.readFileSync(to);
}

Deno.test("swagpu convert takes a checkpoint through every format and back unchanged", async () => {
  await withFolder(async (folder) => {
    const original = await readCheckpoint(Deno.readFileSync(PLAIN), "plain.pt");
    assert(original.size > 1);
    const safetensors = await converted(PLAIN, `${folder}/a.safetensors`);
    assertEquals(readSafetensors(safetensors, "a").tensors, original);
    assertMatch(readSafetensors(safetensors, "a").metadata.source_sha256, /^[0-9a-f]{64}$/);
    const torch = await converted(`${folder}/a.safetensors`, `${folder}/b.pt`);
    assertEquals(await readCheckpoint(torch, "b"), original);
    const npz = await converted(`${folder}/b.pt`, `${folder}/c.npz`);
    assertEquals(readNpz(npz, "c"), original);
    assertEquals(await converted(`${folder}/c.npz`, `${folder}/d.pth`), torch);
    assertEquals(namesIn(folder), ["a.safetensors", "b.pt", "c.npz", "d.pth"]);
  });
});

Deno.test("swagpu convert reads legacy, Lightning and ONNX files", async () => {
  await withFolder(async (folder) => {
    for (const name of ["dtypes.pth", "lightning.ckpt", "net.onnx", "module.pth"]) {
      const from = `${FIXTURES}checkpoints/${name}`;
      const bytes = await converted(from, `${folder}/${name}.safetensors`);
      assertEquals(readSafetensors(bytes, name).tensors, await readCheckpoint(Deno.readFileSync(from), name));
    }
  });
});

Deno.test("swagpu convert --keep-prefixes leaves names as they are", async () => {
  await withFolder(async (folder) => {
    const from = `${FIXTURES}checkpoints/prefixed.pt`;
    const bare = readSafetensors(await converted(from, `${folder}/a.safetensors`), "a").tensors;
    const kept = readSafetensors(await converted(from, `${folder}/b.safetensors`, "--keep-prefixes"), "b").tensors;
    assertEquals(kept.size, bare.size);
    assert([...kept.keys()].join() !== [...bare.keys()].join());
  });
});

Deno.test("swagpu convert keeps a single tensor a single tensor", async () => {
  await withFolder(async (folder) => {
    const mean = Deno.readFileSync(`${FIXTURES}priors/small_mean.pt`);
    await converted(`${FIXTURES}priors/small_mean.pt`, `${folder}/mean.safetensors`);
    await converted(`${folder}/mean.safetensors`, `${folder}/mean.pt`);
    const again = await converted(`${folder}/mean.pt`, `${folder}/again.npz`);
    assertEquals(
      readNpz(again, "again").get("tensor")!.data,
      readNpz(await converted(`${FIXTURES}priors/small_mean.pt`, `${folder}/once.npz`), "once").get("tensor")!.data,
    );
    assert(mean.length > 0);
  });
});

Deno.test("swagpu convert takes a prior from the original's four files to one and back", async () => {
  await withFolder(async (folder) => {
    const one = await converted(`${FIXTURES}priors/small`, `${folder}/prior.safetensors`, "--encoder", "tiny");
    const prior = readPrior(one, "prior");
    assertEquals(prior.metadata.architecture, "tiny");
    const { code } = await convert(`${folder}/prior.safetensors`, `${folder}/again`);
    assertEquals(code, 0);
    assertEquals(namesIn(folder), [
      "again_covmat.pt",
      "again_mean.pt",
      "again_model.pt",
      "again_variance.pt",
      "prior.safetensors",
    ]);
    const twice = readPrior(
      await converted(`${folder}/again`, `${folder}/twice.safetensors`, "--encoder=tiny"),
      "twice",
    );
    assertEquals(twice.swag, prior.swag);
    assertEquals(twice.parameters, prior.parameters);
  });
});

Deno.test("swagpu convert refuses to write a prior in a checkpoint's format", async () => {
  await withFolder(async (folder) => {
    assertRefused(
      await convert(`${FIXTURES}priors/small`, `${folder}/prior.npz`),
      2,
      /Cannot write a learned prior to /,
    );
    assertEquals(namesIn(folder), []);
  });
});

Deno.test("swagpu convert replaces an existing file only with --force", async () => {
  await withFolder(async (folder) => {
    const out = `${folder}/a.safetensors`;
    Deno.writeTextFileSync(out, "precious");
    assertRefused(await convert(PLAIN, out), 1, /^swagpu convert: Cannot write .*: it exists.*--force replaces it\n$/);
    assertEquals(Deno.readTextFileSync(out), "precious");
    assert((await converted(PLAIN, out, "--force")).length > 100);
  });
});

Deno.test("swagpu convert refuses every truncation and leaves no file behind", async () => {
  await withFolder(async (folder) => {
    for (const name of ["plain.pt", "dtypes.pth", "net.onnx"]) {
      const bytes = Deno.readFileSync(`${FIXTURES}checkpoints/${name}`);
      for (const length of [0, 1, 7, Math.floor(bytes.length / 2), bytes.length - 1]) {
        Deno.writeFileSync(`${folder}/cut`, bytes.subarray(0, length));
        const result = await convert(`${folder}/cut`, `${folder}/a.safetensors`);
        assertRefused(result, 1, /^swagpu convert: Cannot read .*cut/);
        assertEquals(namesIn(folder), ["cut"], `${name} cut to ${length} bytes`);
      }
    }
  });
});

Deno.test("swagpu convert executes nothing in a hostile pickle and leaves no file behind", async () => {
  await withFolder(async (folder) => {
    const result = await convert(`${FIXTURES}checkpoints/evil_only.pt`, `${folder}/a.safetensors`);
    assertRefused(result, 1, /^swagpu convert: Cannot read /);
    assertRefused(
      await convert(`${FIXTURES}checkpoints/bomb.pt`, `${folder}/a.pt`),
      1,
      /^swagpu convert: Cannot read /,
    );
    assertEquals(namesIn(folder), []);
  });
});

Deno.test("swagpu convert refuses an unknown extension, a missing flag and an unwritable folder", async () => {
  await withFolder(async (folder) => {
    assertRefused(await convert(PLAIN, `${folder}/a.h5`), 2, /"h5" names no format; one of \.safetensors, /);
    assertRefused(
      await runCli(["convert", "--in", PLAIN], { permissions: command.permissions }),
      2,
      /^swagpu convert: Cannot run without --out: /,
    );
    assertRefused(
      await runCli(["convert", "--out", `${folder}/a.pt`], { permissions: command.permissions }),
      2,
      /^swagpu convert: Cannot convert: exactly one of --in and --run is required/,
    );
    assertRefused(await convert(PLAIN, `${folder}/none/a.pt`), 1, /Cannot write .*none\/a\.pt: there is no such/);
    assertRefused(await convert(PLAIN, "/dev/null/a.pt"), 1, /Cannot write \/dev\/null\/a\.pt: /);
    assertEquals(namesIn(folder), []);
  });
});

Deno.test("swagpu convert --json prints one object last", async () => {
  await withFolder(async (folder) => {
    const { stdout } = await convert(PLAIN, `${folder}/a.npz`, "--json");
    const found = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    assertEquals(found.out, `${folder}/a.npz`);
    assertEquals(found.bytes, Deno.statSync(`${folder}/a.npz`).size);
  });
});
