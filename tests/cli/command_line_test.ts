import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { assertRefused, cliCommand, runCli, withFolder } from "./run_cli.ts";

const NONE = { permissions: "" };
const READ = { permissions: "--allow-read" };
const CHECKPOINT = new URL("../fixtures/checkpoints/plain.pt", import.meta.url).pathname;

Deno.test("swagpu without a command prints its usage to stderr and exits 2", async () => {
  const { code, stdout, stderr } = await runCli([], NONE);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^Usage: /m);
});

Deno.test("swagpu --version prints the version of deno.json", async () => {
  assertEquals(await runCli(["--version"], NONE), { code: 0, stdout: `swagpu ${config.version}\n`, stderr: "" });
});

Deno.test("swagpu names the nearest command to an unknown one and exits 2", async () => {
  assertRefused(
    await runCli(["inspct", "a"], NONE),
    2,
    /^swagpu inspct: Cannot run "inspct": .* nearest is inspect\n$/,
  );
});

Deno.test("swagpu names the nearest flag to an unknown one and exits 2", async () => {
  assertRefused(
    await runCli(["inspect", "--jsn", "a"], NONE),
    2,
    /^swagpu inspect: Cannot use --jsn: .* nearest is --json\n$/,
  );
});

Deno.test("swagpu refuses a flag before the command and an unknown job with exit code 2", async () => {
  assertRefused(await runCli(["--json"], NONE), 2, /^swagpu: Cannot use --json: a command is required/);
  assertRefused(await runCli(["--job=posterior"], NONE), 2, /Cannot run --job=posterior: prior, prior_SSL or /);
});

Deno.test("swagpu --job stands for a command, before and after other flags", async () => {
  for (
    const [args, name] of [
      [["--job=prior_SSL", "--help"], "prior"],
      [["--help", "--job", "prior"], "prior"],
      [["--job=supervised_bayesian_learning", "--help"], "infer"],
    ] as const
  ) {
    const { code, stdout } = await runCli(args, NONE);
    assertEquals(code, 0);
    assertStringIncludes(stdout, `swagpu ${name}: `);
  }
});

Deno.test("swagpu exits 1 with one line and no stack where a command fails", async () => {
  assertRefused(await runCli(["inspect", "no/such/file"], READ), 1, /^swagpu inspect: Cannot read no\/such\/file /);
});

Deno.test("swagpu names the permission that is missing", async () => {
  assertRefused(await runCli(["inspect", CHECKPOINT], NONE), 1, /^swagpu inspect: Cannot go on: .*--allow-read/);
});

Deno.test("swagpu --debug adds the stack", async () => {
  const { code, stderr } = await runCli(["inspect", "no/such/file", "--debug"], READ);
  assertEquals(code, 1);
  assertMatch(stderr, /^swagpu inspect: Cannot read .*\n(.*\n)+\s+at /);
});

Deno.test("swagpu lives on when nobody reads its stdout any more", async () => {
  const child = cliCommand(["inspect", ...Array(200).fill(CHECKPOINT)], READ).spawn();
  await child.stdout.cancel();
  const stderr = await new Response(child.stderr).text();
  assertEquals([(await child.status).code, stderr], [0, ""]);
});

for (const [signal, exit, said] of [["SIGINT", 130, "interrupted"], ["SIGTERM", 143, "terminated"]] as const) {
  Deno.test({
    name: `swagpu exits ${exit} with one line on ${signal}`,
    ignore: Deno.build.os === "windows",
    async fn() {
      await withFolder(async (folder) => {
        const pipe = `${folder}/never.pt`;
        await new Deno.Command("mkfifo", { args: [pipe] }).output();
        const child = cliCommand(["inspect", pipe], READ).spawn();
        // The pipe can be opened for writing once the command reads it: from then on it waits for bytes that never come.
        using _writer = await Deno.open(pipe, { write: true });
        child.kill(signal);
        const stderr = await new Response(child.stderr).text();
        await child.stdout.cancel();
        assertEquals([(await child.status).code, stderr.trim()], [exit, `swagpu: ${said}`]);
      });
    },
  });
}

Deno.test("swagpu runs without any network, environment, FFI or process permission", async () => {
  const { code, stdout } = await runCli(["inspect", CHECKPOINT, "--json"], {
    permissions: "--allow-read --deny-net --deny-env --deny-ffi --deny-run --deny-sys",
  });
  assertEquals(code, 0);
  assert(JSON.parse(stdout).files.length === 1);
});
