import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { openGpu } from "../../lib/gpu/device.ts";
import { command } from "../../tasks/commands/doctor.ts";
import { selfTest } from "../../tasks/commands/self_test.ts";
import { createIo } from "../../tasks/cli/output.ts";
import { cacheKey, tuningState } from "../../tasks/commands/tuning.ts";
import { updateCache } from "../../tasks/cli/tuning_cache.ts";
import { NO_ADAPTER, runCli, withFolder } from "./run_cli.ts";

const { permissions } = command;

Deno.test("swagpu doctor finds this machine well, without any permission", async () => {
  assertEquals(permissions, "");
  const { code, stdout, stderr } = await runCli(["doctor"], { permissions });
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^adapter +\S/m);
  assertEquals(stdout.match(/^kernel .*: ok$/gm)?.length, 5);
  assertMatch(stdout, /^tuning +(on|off on CPUs.*); no cache: the cache folder is not known \(--allow-env=/m);
  assertMatch(stdout, /All is well\n$/);
});

Deno.test("swagpu doctor --json prints one object with every fact", async () => {
  const { code, stdout } = await runCli(["doctor", "--json"], { permissions });
  assertEquals(code, 0);
  const found = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
  assertEquals([found.ok, found.deno, found.problems], [true, Deno.version.deno, []]);
  assertEquals(found.selfTest.length, 5);
  assert(found.limits.maxStorageBufferBindingSize > 0);
  assertEquals(typeof found.adapter.description, "string");
});

Deno.test("swagpu doctor without an adapter prints the remedy and exits 1", async () => {
  const { code, stdout, stderr } = await runCli(["doctor"], { permissions, env: NO_ADAPTER });
  assertEquals([code, stderr], [1, ""]);
  assertMatch(stdout, /^adapter +none$/m);
  assertStringIncludes(stdout, "apt-get install -y mesa-vulkan-drivers libvulkan1");
  const json = await runCli(["doctor", "--json"], { permissions, env: NO_ADAPTER });
  assertEquals(json.code, 1);
  assertEquals([JSON.parse(json.stdout).ok, JSON.parse(json.stdout).adapter], [false, null]);
});

Deno.test("selfTest() reports a kernel that computes wrongly, and goes on with the others", async () => {
  const gpu = await openGpu();
  try {
    const { pipeline } = gpu;
    // A device that multiplies by something else than it was told.
    gpu.pipeline = (label, code, bindings, entry) =>
      pipeline.call(gpu, label, code.replaceAll("0xd2511f53u", "0xd2511f55u"), bindings, entry);
    const results = await selfTest(gpu);
    assertEquals(results.map(({ ok }) => ok), [true, true, true, true, false]);
    assertMatch(results[4].problem!, /differs from the CPU/);
  } finally {
    gpu.destroy();
  }
});

Deno.test("selfTest() reports a kernel that cannot be built, and leaves nothing on the device", async () => {
  const gpu = await openGpu();
  try {
    const { pipeline } = gpu;
    let built = 0;
    gpu.pipeline = (label, code, bindings, entry) =>
      pipeline.call(gpu, label, built++ === 0 ? "not WGSL" : code, bindings, entry);
    const results = await selfTest(gpu);
    assertEquals(results.map(({ ok }) => ok), [false, true, true, true, true]);
    assertEquals(results[0].relativeError, null);
    assertMatch(results[0].problem!, /^Cannot build kernel/);
    assertEquals(gpu.live.count, 0);
  } finally {
    gpu.destroy();
  }
});

Deno.test("swagpu doctor tests the kernels of either schedule", async () => {
  for (const schedule of ["cpu", "gpu"]) {
    const { code, stdout } = await runCli(["doctor", "--json", "--kernel-schedule", schedule], { permissions });
    const found = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    assertEquals([code, found.kernelSchedule, found.problems], [0, schedule, []]);
  }
});

Deno.test("swagpu doctor says whether matrix products are tuned, and what the cache knows", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/swagpu/tuning.json`;
    using gpu = await openGpu();
    const sink = { write: () => {}, columns: () => undefined };
    const state = () => tuningState(gpu, path, createIo(sink, sink, { json: false, quiet: true }));
    assertEquals([(await state()).cache, (await state()).products], [path, 0]);
    const entries = { p: { kernels: "0", variant: "v" }, q: { kernels: "0", variant: "v" } };
    await updateCache(path, (cache) => ({ ...cache, [cacheKey(gpu)]: entries, other: { r: entries.p } }));
    assertEquals((await state()).products, 2);
    // Deno's own cache stays where it is: to fill another one takes seconds.
    const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
    const { denoDir } = JSON.parse(new TextDecoder().decode(info.stdout));
    const env = { XDG_CACHE_HOME: folder, DENO_DIR: denoDir };
    const { code, stdout } = await runCli(["doctor", "--json"], { permissions: "--allow-env --allow-read", env });
    assertEquals(code, 0);
    const found = JSON.parse(stdout.trimEnd().split("\n").at(-1)!).tuning;
    assertEquals([found.cache, found.products, found.on], [path, 2, !gpu.adapter.isCpu]);
  });
});
