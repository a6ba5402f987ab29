import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import config from "../../deno.json" with { type: "json" };
import { remedyFor } from "../../tasks/setup.ts";
import { withFolder } from "./run_cli.ts";

const SETUP = fromFileUrl(new URL("../../tasks/setup.ts", import.meta.url));
const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n';
const MINT = "ID=linuxmint\nID_LIKE=ubuntu\n";

async function setup(env: Readonly<Record<string, string>>): Promise<{ code: number; stderr: string }> {
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", SETUP], env, stdin: "null" });
  const { code, stderr } = await command.output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("remedyFor() installs Mesa's driver on Debian and its kin as root only", () => {
  for (const release of [DEBIAN, MINT]) {
    assertEquals(remedyFor({ os: "linux", release, root: true }), {
      install: [
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "mesa-vulkan-drivers", "libvulkan1"],
      ],
    });
    assertEquals(remedyFor({ os: "linux", release, root: false }), {
      advice:
        "run: sudo apt-get update && sudo apt-get install -y --no-install-recommends mesa-vulkan-drivers libvulkan1",
    });
  }
});

Deno.test("remedyFor() gives the exact command elsewhere, and installs nothing", () => {
  const advice = (os: string, release: string) => {
    const remedy = remedyFor({ os, release, root: true });
    return "advice" in remedy ? remedy.advice : "an installation";
  };
  assertMatch(advice("linux", "ID=fedora\n"), /^run: sudo dnf install -y mesa-vulkan-drivers/);
  assertMatch(advice("linux", "ID=arch\n"), /^run: sudo pacman/);
  assertMatch(advice("linux", 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n'), /^run: sudo zypper/);
  assertMatch(advice("linux", ""), /Vulkan/);
  assertMatch(advice("darwin", ""), /Metal/);
  assertMatch(advice("windows", ""), /DirectX 12/);
});

Deno.test("setup finds the adapter of this machine", async () => {
  const { code, stderr } = await setup({});
  assertMatch(stderr, /^setup: WebGPU adapter: \S/);
  assertEquals(code, 0);
});

Deno.test("setup takes an OpenGL adapter only where no Vulkan driver can be installed, and says that it is slow", async () => {
  // Hides every Vulkan driver; what is left, if anything, is OpenGL.
  const bare = { "VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent", "PATH": "/nonexistent" };
  if (Deno.build.os !== "linux") return;
  const { code, stderr } = await setup(bare);
  const last = stderr.trimEnd().split("\n").at(-1)!;
  assertMatch(
    last,
    code === 0 ? /^setup: WebGPU adapter: .*, through OpenGL, .*: \S/ : /^setup: Cannot go on without /,
  );
});

Deno.test("setup without an adapter and without a way to install one prints the exact command and exits 1", async () => {
  const { code, stderr } = await setup({ "DENO_WEBGPU_BACKEND": "noop", "PATH": "/nonexistent" });
  assertEquals(code, 1);
  assertMatch(
    stderr.trimEnd().split("\n").at(-1)!,
    /^setup: Cannot go on without a WebGPU adapter: none was found; \S/,
  );
  assert(!/\n\s+at /.test(stderr), stderr);
});

Deno.test({
  name: "setup installs the driver as root on Debian, says so, and looks again",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0 ||
    !/^ID=debian/m.test(Deno.readTextFileSync("/etc/os-release")),
  async fn() {
    await withFolder(async (folder) => {
      // Stands for apt-get: notes its arguments down and installs nothing, so that the second look fails as well.
      Deno.writeTextFileSync(`${folder}/apt-get`, `#!/bin/sh\necho "$DEBIAN_FRONTEND $@" >> ${folder}/log\n`, {
        mode: 0o755,
      });
      const { code, stderr } = await setup({ "DENO_WEBGPU_BACKEND": "noop", "PATH": folder });
      assertEquals(code, 1);
      assertEquals(
        Deno.readTextFileSync(`${folder}/log`),
        "noninteractive update\nnoninteractive install -y --no-install-recommends mesa-vulkan-drivers libvulkan1\n",
      );
      assertStringIncludes(stderr, "installing Mesa's Vulkan driver");
      assertStringIncludes(stderr, "Cannot go on without a WebGPU adapter");
    });
  },
});

Deno.test("deno.json runs setup before the demo and the tests", () => {
  const { demo, setup, test, ...others } = config.tasks;
  assertMatch(demo, /^deno run -A tasks\/setup\.ts && /);
  assertEquals(setup, "deno run -A tasks/setup.ts");
  const parts = Object.entries(others).filter(([name]) => name.startsWith("test:"));
  assertEquals(test.dependencies, parts.map(([name]) => name));
  for (const [, part] of parts) assertEquals((part as typeof others["test:library"]).dependencies, ["setup"]);
});

Deno.test("every folder of tests is run by one of the two processes, and by one only", () => {
  const command = (name: "test:commands" | "test:library") => config.tasks[name].command;
  const named = command("test:commands").match(/tests\/\w+/g) ?? [];
  assertEquals(command("test:library").match(/--ignore=(\S+) tests$/)?.[1].split(","), named);
  for (const folder of named) assert(Deno.statSync(new URL(`../../${folder}`, import.meta.url)).isDirectory, folder);
});
