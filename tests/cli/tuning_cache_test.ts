import { assert, assertEquals, assertMatch } from "@std/assert";
import type { CacheHost } from "../../tasks/cli/cache_place.ts";
import { locateTuningCache, readCache, updateCache } from "../../tasks/cli/tuning_cache.ts";
import { namesIn, withFolder } from "./run_cli.ts";

const entry = (variant: string) => ({ kernels: "0", variant });
const silent = (line: string) => {
  throw new Error(line);
};

/** A machine with some variables and permissions. */
function host(os: string, variables: Record<string, string>, may: readonly string[] = ["read", "write"]): CacheHost {
  return { os, env: (name) => variables[name], may: (name) => may.includes(name) };
}

Deno.test("locateTuningCache() takes the file that is given, else the platform's cache folder", () => {
  const home = { HOME: "/home/me" };
  const pathOf = (place: ReturnType<typeof locateTuningCache>) => "path" in place ? place.path : place.missing;
  assertEquals(pathOf(locateTuningCache("here.json", host("linux", home))), "here.json");
  assertEquals(pathOf(locateTuningCache(undefined, host("linux", home))), "/home/me/.cache/swagpu/tuning.json");
  const xdg = { ...home, XDG_CACHE_HOME: "/cache" };
  assertEquals(pathOf(locateTuningCache(undefined, host("linux", xdg))), "/cache/swagpu/tuning.json");
  assertEquals(
    pathOf(locateTuningCache(undefined, host("linux", { ...home, XDG_CACHE_HOME: "relative" }))),
    "/home/me/.cache/swagpu/tuning.json",
  );
  assertEquals(pathOf(locateTuningCache(undefined, host("darwin", xdg))), "/home/me/Library/Caches/swagpu/tuning.json");
  const windows = host("windows", { LOCALAPPDATA: "C:\\Users\\me\\AppData\\Local" });
  assertEquals(pathOf(locateTuningCache(undefined, windows)), "C:\\Users\\me\\AppData\\Local/swagpu/tuning.json");
});

Deno.test("locateTuningCache() says what is not permitted, and asks for nothing", () => {
  const missing = (place: ReturnType<typeof locateTuningCache>) => "missing" in place ? place.missing : "";
  assertMatch(missing(locateTuningCache(undefined, host("linux", {}))), /--allow-env=XDG_CACHE_HOME,HOME/);
  assertMatch(
    missing(locateTuningCache(undefined, host("linux", { HOME: "/me" }, []))),
    /^\/me\/.cache\/.* may not be read/,
  );
  assertEquals(locateTuningCache("a/b.json", host("linux", {}, ["read"])), { path: "a/b.json", writable: false });
});

Deno.test("updateCache() makes the folder, keeps other entries and leaves no other file but the lock", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/deep/er/tuning.json`;
    assertEquals(await readCache(path, silent), {});
    await updateCache(path, (cache) => ({ ...cache, a: { p: entry("x") } }));
    await updateCache(path, (cache) => ({ ...cache, b: { q: entry("y") } }));
    assertEquals(await readCache(path, silent), { a: { p: entry("x") }, b: { q: entry("y") } });
    assertEquals(namesIn(`${folder}/deep/er`), ["tuning.json", "tuning.json.lock"]);
  });
});

Deno.test("readCache() ignores a corrupt file with one line, and updateCache() replaces it", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/tuning.json`;
    for (const text of ["", "{", '{"format":"swagpu tuning cache"}', "\0\0\0"]) {
      await Deno.writeTextFile(path, text);
      const lines: string[] = [];
      assertEquals(await readCache(path, (line) => lines.push(line)), {});
      assertEquals(lines.length, 1);
      assertMatch(lines[0], /tuning\.json is ignored: [^\n]+$/);
      await updateCache(path, (cache) => ({ ...cache, a: { p: entry("x") } }));
      assertEquals(await readCache(path, silent), { a: { p: entry("x") } });
    }
  });
});

Deno.test("updateCache() loses nothing where processes write at once", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/tuning.json`;
    const module = new URL("../../tasks/cli/tuning_cache.ts", import.meta.url).href;
    const script = `${folder}/writer.ts`;
    await Deno.writeTextFile(
      script,
      `import { updateCache } from "${module}";
      for (let i = 0; i < 20; i++) {
        await updateCache("${path}", (cache) => ({ ...cache, [Deno.args[0] + i]: {} }));
      }`,
    );
    const outputs = await Promise.all(
      ["a", "b", "c"].map((name) =>
        new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--no-check", script, name] }).output()
      ),
    );
    for (const { success, stderr } of outputs) assert(success, new TextDecoder().decode(stderr));
    assertEquals(Object.keys(await readCache(path, silent)).length, 60);
  });
});
