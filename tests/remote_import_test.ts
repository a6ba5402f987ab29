/** The door: `mod.ts` and `cli.ts` loaded by URL, by a Deno that has nothing in its cache. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { withFolder } from "./cli/run_cli.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));

/** Serves the project's files, and nothing else, until `fn` is done. */
async function withServer(fn: (origin: string, served: Set<string>) => Promise<void>): Promise<void> {
  const served = new Set<string>();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const path = new URL(request.url).pathname.slice(1);
    const file = path.includes("..") ? undefined : await Deno.readFile(ROOT + path).catch(() => undefined);
    if (file === undefined) return new Response("no such file", { status: 404 });
    served.add(path);
    const type = path.endsWith(".wgsl")
      ? "text/plain"
      : path.endsWith(".json")
      ? "application/json"
      : "text/typescript";
    return new Response(file, { headers: { "content-type": path.endsWith(".js") ? "text/javascript" : type } });
  });
  try {
    await fn(`http://127.0.0.1:${server.addr.port}`, served);
  } finally {
    await server.shutdown();
  }
}

/** Runs Deno with an empty cache in a folder that has no configuration. */
async function runBare(folder: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...args],
    cwd: folder,
    env: { DENO_DIR: `${folder}/cache`, NO_COLOR: "1", NODEVICE_SELECT: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals(code, 0, text(stderr));
  return text(stdout);
}

/** The README's program. */
async function readmeProgram(): Promise<string> {
  const readme = await Deno.readTextFile(`${ROOT}README.md`);
  const [, program] = readme.match(/```ts ignore\n([\s\S]*?)```/) ?? [];
  assertStringIncludes(program, 'from "./mod.ts"');
  return program;
}

Deno.test("the README's program runs from an http server, with an empty cache and no permission", async () => {
  await withFolder(async (folder) => {
    await withServer(async (origin, served) => {
      const program = (await readmeProgram()).replace('"./mod.ts"', `"${origin}/mod.ts"`);
      const report = `
        if (samples.length !== 4) throw new Error(\`\${samples.length} samples\`);
        if (!samples.every(({ logPrior }) => Number.isFinite(logPrior))) throw new Error("log prior");
        console.log(samples.map(({ step, weights }) => \`\${step}:\${weights.backbone.length}\`).join(" "));`;
      await Deno.writeTextFile(`${folder}/program.ts`, program + report);
      const out = await runBare(folder, [`--allow-import=${new URL(origin).host}`, "program.ts"]);
      assertEquals(out.trim(), "11:18888 19:18888 31:18888 39:18888");
      assert(served.has("kernels/prior_step.wgsl"));
    });
  });
});

Deno.test("cli.ts runs from an http server, with an empty cache and no permission", async () => {
  await withFolder(async (folder) => {
    await withServer(async (origin) => {
      assertStringIncludes(await runBare(folder, [`${origin}/cli.ts`, "--help"]), "infer");
      assertStringIncludes(await runBare(folder, [`${origin}/cli.ts`, "doctor"]), "All is well");
    });
  });
});
