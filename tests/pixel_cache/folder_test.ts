import { assert, assertEquals } from "@std/assert";
import { PixelFolder, type PixelFolderSettings } from "../../tasks/pixel_cache/folder.ts";
import { PixelLedger } from "../../tasks/pixel_cache/ledger.ts";
import { withFolder } from "../cli/run_cli.ts";

const MIB = 2 ** 20, BLOCK = 4096;
const MODULE = new URL("../../tasks/pixel_cache/folder.ts", import.meta.url).href;

function settings(path: string, more: Partial<PixelFolderSettings> = {}): PixelFolderSettings {
  return { path, limit: MIB, writable: true, since: 0, ...more };
}

/** A key whose entry lies in folder `shard`. */
function key(shard: number, index = 0): string {
  return shard.toString(16).padStart(2, "0") + index.toString(16).padStart(62, "0");
}

function bytes(length: number, value = 7): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).fill(value);
}

function pathOf(folder: string, name: string): string {
  return `${folder}/${name.slice(0, 2)}/${name.slice(2)}`;
}

/** Every file but the ledger's, with its size. */
function filesIn(folder: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const shard of Deno.readDirSync(folder)) {
    if (!shard.isDirectory) continue;
    for (const { name } of Deno.readDirSync(`${folder}/${shard.name}`)) {
      found.set(shard.name + name, Deno.statSync(`${folder}/${shard.name}/${name}`).size);
    }
  }
  return found;
}

function bytesIn(folder: string): number {
  return [...filesIn(folder).values()].reduce((sum, size) => sum + Math.ceil(size / BLOCK) * BLOCK, 0);
}

/** Sets when an entry was used last, in seconds since 1970. */
function age(folder: string, name: string, used: number): void {
  Deno.utimeSync(pathOf(folder, name), used, used);
}

Deno.test("PixelFolder gives back what it was given, to other threads too, and nothing else", () =>
  withFolder((folder) => {
    const cache = new PixelFolder(settings(`${folder}/a/b`));
    assertEquals(cache.read(key(1)), undefined);
    cache.write(key(1), bytes(5000));
    cache.write(key(1), bytes(3, 9));
    cache.write(key(2), bytes(0));
    const other = new PixelFolder(settings(`${folder}/a/b`, { writable: false }));
    assertEquals(other.read(key(1)), bytes(3, 9));
    assertEquals(other.read(key(2)), bytes(0));
    assertEquals(other.read(key(3)), undefined);
    assertEquals([...filesIn(`${folder}/a/b`).keys()].sort(), [key(1), key(2)]);
    return Promise.resolve();
  }));

Deno.test("PixelFolder keeps its bound; what was used least recently goes first", () =>
  withFolder((folder) => {
    // Everything is older than the run.
    const later = { since: Date.now() + 1e6 };
    const cache = new PixelFolder(settings(folder, later));
    for (let shard = 0; shard < 200; shard++) {
      cache.write(key(shard), bytes(2 * BLOCK));
      age(folder, key(shard), 1000 + (shard === 5 ? 1e6 : shard));
      assert(bytesIn(folder) <= MIB, `${bytesIn(folder)} bytes after ${shard + 1} entries`);
    }
    const left = [...filesIn(folder).keys()];
    assert(left.length > 90, `${left.length} are left`);
    // The newest, and the one that was used again.
    for (const name of left) assert(name === key(5) || parseInt(name.slice(0, 2), 16) >= 200 - 128, name);
    assert(left.includes(key(5)) && left.includes(key(199)));
    return Promise.resolve();
  }));

Deno.test("PixelFolder evicts nothing that is in use in this run, and stops writing where that fills it", () =>
  withFolder((folder) => {
    const old = new PixelFolder(settings(folder, { since: Date.now() + 1e6 }));
    for (let shard = 0; shard < 60; shard++) old.write(key(shard, 1), bytes(2 * BLOCK));
    for (const name of filesIn(folder).keys()) age(folder, name, 1000);
    const run = new PixelFolder(settings(folder, { since: 2_000_000 }));
    // Reading marks an entry as used.
    for (let shard = 0; shard < 10; shard++) assert(run.read(key(shard, 1)));
    for (let shard = 0; shard < 200; shard++) run.write(key(shard, 2), bytes(2 * BLOCK));
    const names = [...filesIn(folder).keys()];
    assert(bytesIn(folder) <= MIB && bytesIn(folder) > 0.9 * MIB, `${bytesIn(folder)} bytes`);
    for (let shard = 0; shard < 10; shard++) assert(names.includes(key(shard, 1)));
    assertEquals(names.filter((name) => name.endsWith("1")).length, 10);
    // The first ones of the run stay; those that came once it was full are not kept.
    const kept = names.filter((name) => name.endsWith("2")).sort();
    assertEquals(kept, Array.from({ length: kept.length }, (_, shard) => key(shard, 2)));
    return Promise.resolve();
  }));

Deno.test("PixelLedger looks through a folder full of what is in use once a run", () =>
  withFolder((folder) => {
    const run = settings(folder, { since: 1_000_000 });
    const cache = new PixelFolder(run);
    for (let shard = 0; shard < 200; shard++) cache.write(key(shard), bytes(2 * BLOCK));
    for (const name of filesIn(folder).keys()) age(folder, name, 2000);
    assertEquals(new PixelLedger(run).reserve(MIB / 16), false);
    // What goes now is noticed by another run only.
    for (const name of [...filesIn(folder).keys()].slice(0, 40)) Deno.removeSync(pathOf(folder, name));
    assertEquals(new PixelLedger(run).reserve(MIB / 16), false);
    const left = filesIn(folder).size;
    assertEquals(new PixelLedger({ ...run, since: 1_500_000 }).reserve(MIB / 16), true);
    assertEquals(filesIn(folder).size, left);
    return Promise.resolve();
  }));

Deno.test("PixelFolder does not keep an image that would push out many", () =>
  withFolder((folder) => {
    const cache = new PixelFolder(settings(folder));
    cache.write(key(1), bytes(MIB / 8));
    cache.write(key(2), bytes(MIB / 16));
    assertEquals([...filesIn(folder).keys()], [key(2)]);
    return Promise.resolve();
  }));

Deno.test("PixelLedger.trim() brings a folder down to a lower bound, and makes none", () =>
  withFolder((folder) => {
    new PixelLedger(settings(`${folder}/none`)).trim();
    assertEquals([...Deno.readDirSync(folder)], []);
    const cache = new PixelFolder(settings(folder, { limit: 4 * MIB }));
    for (let shard = 0; shard < 200; shard++) cache.write(key(shard), bytes(2 * BLOCK));
    assertEquals(filesIn(folder).size, 200);
    new PixelLedger(settings(folder, { since: Date.now() + 1e6 })).trim();
    assert(bytesIn(folder) <= 0.9 * MIB && bytesIn(folder) > 0.8 * MIB, `${bytesIn(folder)} bytes`);
    return Promise.resolve();
  }));

Deno.test("PixelLedger puts a damaged number right, and deletes files that a killed process left", () =>
  withFolder((folder) => {
    const cache = new PixelFolder(settings(folder));
    for (let shard = 0; shard < 100; shard++) cache.write(key(shard), bytes(2 * BLOCK));
    Deno.writeFileSync(pathOf(folder, `${key(1)}.abc.partial`), bytes(BLOCK));
    Deno.writeFileSync(pathOf(folder, `${key(2)}.abc.partial`), bytes(BLOCK));
    age(folder, `${key(1)}.abc.partial`, 1000);
    for (const text of ["", "x", "0".repeat(16), "0".repeat(34), `${"0".repeat(15)}- ${"0".repeat(16)}`]) {
      Deno.writeTextFileSync(`${folder}/taken`, text);
      assertEquals(new PixelLedger(settings(folder)).reserve(0), true);
      // 100 entries, the file that is being written, and what other threads may have been promised.
      assertEquals(Number(Deno.readTextFileSync(`${folder}/taken`).split(" ")[0]), 201 * BLOCK + MIB / 64, text);
    }
    assertEquals([...filesIn(folder).keys()].filter((name) => name.includes("partial")), [`${key(2)}.abc.partial`]);
    return Promise.resolve();
  }));

Deno.test({
  name: "PixelFolder does without what is not permitted",
  permissions: { read: true, write: false, env: true },
  fn: () => {
    const folder = new URL(".", import.meta.url).pathname;
    const cache = new PixelFolder(settings(folder));
    cache.write(key(1), bytes(10));
    assertEquals(cache.read(key(1)), undefined);
    new PixelLedger(settings(folder)).trim();
  },
});

Deno.test("PixelFolder does without a folder that cannot be made", () =>
  withFolder((folder) => {
    Deno.writeTextFileSync(`${folder}/file`, "");
    const cache = new PixelFolder(settings(`${folder}/file`));
    cache.write(key(1), bytes(10));
    assertEquals(cache.read(key(1)), undefined);
    return Promise.resolve();
  }));

/** Writes and reads as fast as it can: entries whose every byte is the first of their key. */
function writer(folder: string, seed: number): Deno.Command {
  const script = `
    import { PixelFolder } from "${MODULE}";
    const [path, seed] = Deno.args;
    let state = Number(seed);
    const next = (n) => (state = (state * 1103515245 + 12345) % 2147483648) % n;
    let cache = new PixelFolder({ path, limit: ${MIB}, writable: true, since: Date.now() + 1e6 });
    for (let i = 0; i < 3000; i++) {
      const shard = next(256), key = shard.toString(16).padStart(2, "0") + "00";
      const found = cache.read(key);
      if (found !== undefined && (found.length !== 9000 || found.some((byte) => byte !== shard))) Deno.exit(3);
      if (found === undefined || next(4) === 0) cache.write(key, new Uint8Array(9000).fill(shard));
      if (i === 100) console.log("at work");
    }`;
  return new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", script, folder, String(seed)],
    stdout: "piped",
    stderr: "piped",
  });
}

Deno.test("PixelFolder holds whole entries and its bound where processes write at once", () =>
  withFolder(async (folder) => {
    const outputs = await Promise.all([1, 2, 3].map((seed) => writer(folder, seed).output()));
    for (const { code, stderr } of outputs) assertEquals(code, 0, new TextDecoder().decode(stderr));
    assert(bytesIn(folder) <= MIB, `${bytesIn(folder)} bytes`);
    assert([...filesIn(folder).values()].every((size) => size === 9000));
  }));

Deno.test("PixelFolder holds whole entries and its bound where a process is killed at any moment", () =>
  withFolder(async (folder) => {
    for (let seed = 0; seed < 5; seed++) {
      const process = writer(folder, seed).spawn();
      const reader = process.stdout.getReader();
      await reader.read();
      await new Promise((resolve) => setTimeout(resolve, 3 * seed));
      process.kill("SIGKILL");
      await process.status;
      await reader.cancel();
      await process.stderr.cancel();
      for (const [name, size] of filesIn(folder)) assert(size === 9000 || name.endsWith(".partial"), name);
      assert(bytesIn(folder) <= MIB, `${bytesIn(folder)} bytes`);
    }
    // No lock is left behind.
    const after = await writer(folder, 9).output();
    assertEquals(after.code, 0, new TextDecoder().decode(after.stderr));
    assert(bytesIn(folder) <= MIB);
  }));
