import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { loadCommands } from "../../tasks/cli/commands.ts";
import { flagName } from "../../tasks/cli/flags.ts";
import { commandHelp, globalHelp } from "../../tasks/cli/help.ts";
import { runCli } from "./run_cli.ts";

const INSPECT = `swagpu inspect: what a checkpoint, a learned prior or a run holds

Usage: deno run --allow-read cli.ts inspect FILE... [flags]

FILE
  FILE  a checkpoint (.pth .pt .th .ckpt .onnx .safetensors), arrays (.npz .npy), a prior's
        .safetensors file or the prefix of its four .pt files, or a run's folder

Names
  --keep-prefixes  leave module., backbone., encoder. and base_model. on the tensors' names

ONNX
  --batch-size N  images of the batch whose cost is worked out (1 or more; default 64)
  --image-size N  side of those images in pixels; the file's own, or 224, unless given (8 or more)
  --head NODE     node of the last layer; found unless given

Output
  --json   print one JSON object as the last line of stdout
  --quiet  print no progress

Examples
  deno run --allow-read cli.ts inspect resnet50.pth
  deno run --allow-read cli.ts inspect mobilenet.onnx --batch-size 32
  deno run --allow-read cli.ts inspect runs/flowers --json
`;

Deno.test("swagpu inspect --help prints this page to stdout without any permission", async () => {
  assertEquals(await runCli(["inspect", "--help"], { permissions: "" }), { code: 0, stdout: INSPECT, stderr: "" });
  assertEquals((await runCli(["inspect", "-h", "--no-such-flag"], { permissions: "" })).stdout, INSPECT);
});

Deno.test("swagpu --help lists every command", async () => {
  const { code, stdout, stderr } = await runCli(["--help"], { permissions: "" });
  assertEquals([code, stderr], [0, ""]);
  for (const { command: { name, summary } } of await loadCommands()) {
    assertMatch(stdout, new RegExp(`^  ${name} +${summary.slice(0, 20)}`, "m"));
  }
});

Deno.test("commandHelp() lists every flag of every command with its default, its choices and the permissions", async () => {
  const commands = await loadCommands();
  assert(commands.length > 0);
  for (const { command } of commands) {
    const page = commandHelp(command);
    const words = page.replace(/\s+/g, " ");
    assertStringIncludes(
      words,
      `deno run ${command.permissions === "" ? "" : `${command.permissions} `}cli.ts ${command.name} `,
    );
    for (const [key, flag] of Object.entries(command.flags)) {
      const name = flag.type === "boolean" && flag.default ? `--no-${flagName(key)}` : `--${flagName(key)}`;
      assertMatch(page, new RegExp(`^  ${name}( |$)`, "m"), `${command.name} ${name}`);
      assertStringIncludes(words, flag.help.replace(/\s+/g, " "));
      if (flag.type === "choice") assertStringIncludes(words, flag.choices.join(" | "));
      if (flag.required) assertMatch(words, /required/);
    }
  }
});

Deno.test("commandHelp() keeps within 100 columns, but for its first line and command lines", async () => {
  for (const { command } of await loadCommands()) {
    const [tables] = commandHelp(command).split("\nExamples\n");
    const long = tables.split("\n").slice(1).filter((line) => line.length > 100 && !line.startsWith("Usage:"));
    assertEquals(long, [], command.name);
  }
});

Deno.test("every command asks for no more than it needs", async () => {
  for (const { command: { name, permissions: stated } } of await loadCommands()) {
    // Downloads are for one command, from one host.
    const permissions = name === "data" ? stated.replace("--allow-net=HOST ", "") : stated;
    assert(
      !/-A|--allow-all|--allow-ffi|--allow-net|--allow-run|--allow-sys/.test(permissions),
      `${name}: ${permissions}`,
    );
  }
});

Deno.test("globalHelp() states the version, the original's spelling and the exit codes", () => {
  const page = globalHelp("1.2.3", []);
  for (const text of ["swagpu 1.2.3", "--job", "0 done, 1 failed, 2 wrong usage"]) assertStringIncludes(page, text);
});
