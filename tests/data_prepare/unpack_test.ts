import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { gunzipSync, gzipSync } from "node:zlib";
import { writeZip } from "../../lib/checkpoint/zip_writer.ts";
import { FormatError } from "../../lib/errors.ts";
import { tar } from "../../tasks/data/deps.ts";
import { archiveFiles, innerFiles, readBody, safePath, writeEntry } from "../../tasks/data/unpack.ts";
import { concat } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { gzip, tarArchive, type TarEntry, tarOf } from "./server.ts";

const BYTES = new TextEncoder().encode("some bytes");
const LARGE = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);

/** Unpacks all of an archive into `<folder>/out`; resolves to what it wrote. */
async function unpacked(
  folder: string,
  name: string,
  archive: Uint8Array,
  allowance = { bytes: 2 ** 20, entries: 100 },
): Promise<string[]> {
  await Deno.writeFile(`${folder}/${name}`, archive);
  const paths: string[] = [];
  for await (const file of archiveFiles(`${folder}/${name}`, { ...allowance })) {
    await writeEntry(`${folder}/out/${file.path}`, file);
    paths.push(file.path);
  }
  return paths;
}

Deno.test("archiveFiles() unpacks tar, tar.gz and zip", () =>
  inTemporaryFolder(async (folder) => {
    const files = { "a/one.txt": BYTES, "./a/b/large.bin": LARGE, "empty": new Uint8Array() };
    const tar = tarArchive([
      { name: "a/", type: "5" },
      ...Object.entries(files).map(([name, data]) => ({ name, data })),
    ]);
    const zip = writeZip(Object.entries(files).map(([name, data]) => ({ name, data })));
    for (
      const [name, bytes] of [["x.tar", tar], ["x.tar.gz", await gzip(tar)], ["x.tgz", await gzip(tar)], [
        "x.zip",
        zip,
      ]] as const
    ) {
      assertEquals(await unpacked(folder, name, bytes), ["a/one.txt", "a/b/large.bin", "empty"]);
      assertEquals(await Deno.readFile(`${folder}/out/a/b/large.bin`), LARGE);
      assertEquals(await Deno.readFile(`${folder}/out/a/one.txt`), BYTES);
      await Deno.remove(`${folder}/out`, { recursive: true });
    }
  }));

Deno.test("archiveFiles() lets files be passed over and read in memory", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/x.tar`, tarOf({ "one": LARGE, "two": BYTES, "three": LARGE }));
    const seen: string[] = [];
    for await (const file of archiveFiles(`${folder}/x.tar`, { bytes: 2 ** 20, entries: 9 })) {
      seen.push(file.path);
      if (file.path === "two") assertEquals(await readBody(file), BYTES);
    }
    assertEquals(seen, ["one", "two", "three"]);
    // Nothing stays open where the caller stops early.
    for await (const file of archiveFiles(`${folder}/x.tar`, { bytes: 2 ** 20, entries: 9 })) {
      assertEquals(file.path, "one");
      break;
    }
  }));

Deno.test("archiveFiles() refuses links, devices and paths that lead outside; nothing is written outside", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.mkdir(`${folder}/inner`);
    const hostile: readonly (readonly [TarEntry, string])[] = [
      [{ name: "../evil", data: BYTES }, "leads outside"],
      [{ name: "a/../../evil", data: BYTES }, "leads outside"],
      [{ name: "/evil", data: BYTES }, "leads outside"],
      [{ name: "..\\evil", data: BYTES }, "leads outside"],
      [{ name: "C:evil", data: BYTES }, "leads outside"],
      [{ name: "link", type: "2", link: "/etc/passwd" }, "is a symlink"],
      [{ name: "link", type: "2", link: "a" }, "is a symlink"],
      [{ name: "hard", type: "1", link: "../evil" }, "is a link"],
      [{ name: "device", type: "3" }, "is a character-device"],
      [{ name: "block", type: "4" }, "is a block-device"],
      [{ name: "pipe", type: "6" }, "is a fifo"],
    ];
    for (const [entry, message] of hostile) {
      const archive = tarArchive([{ name: "good", data: BYTES }, entry]);
      await assertRejects(() => unpacked(`${folder}/inner`, "x.tar", archive), FormatError, message);
    }
    const zip = writeZip([{ name: "../evil", data: BYTES }]);
    await assertRejects(() => unpacked(`${folder}/inner`, "x.zip", zip), FormatError, "leads outside");
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["inner"]);
    assertEquals([...Deno.readDirSync(`${folder}/inner/out`)].map(({ name }) => name), ["good"]);
  }));

Deno.test("safePath() keeps what is inside", () => {
  assertEquals(safePath("./a//b/./c..d"), "a/b/c..d");
  for (const path of ["..", "a/..", "/", "a\\b", "a\0b", "a\nb"]) assertThrows(() => safePath(path), FormatError);
});

Deno.test("archiveFiles() refuses an archive that is cut short, anywhere", () =>
  inTemporaryFolder(async (folder) => {
    const tar = tarOf({ "one": BYTES, "two": LARGE });
    const packed = await gzip(tar);
    for (const length of [100, 600, 1100, 1536 + 1000, tar.length - 1024 - 600]) {
      await assertRejects(() => unpacked(folder, "x.tar", tar.subarray(0, length)), FormatError, "Cannot unpack");
    }
    for (const length of [5, 20, packed.length >> 1, packed.length - 4]) {
      await assertRejects(() => unpacked(folder, "x.tar.gz", packed.subarray(0, length)), FormatError, "Cannot unpack");
    }
    const damaged = packed.slice();
    damaged[packed.length >> 1] ^= 0xff;
    await assertRejects(() => unpacked(folder, "x.tar.gz", damaged), FormatError, "Cannot unpack");
    const header = tar.slice();
    header[3] ^= 0xff;
    await assertRejects(() => unpacked(folder, "x.tar", header), FormatError, "Cannot unpack");
    await assertRejects(
      () => unpacked(folder, "x.zip", writeZip([{ name: "a", data: BYTES }]).subarray(0, 40)),
      FormatError,
    );
  }));

Deno.test("archiveFiles() refuses a tar archive that is cut between two entries", () =>
  inTemporaryFolder(async (folder) => {
    // The files end in zeros, and so does what is left of the archive.
    const zeros = new Uint8Array(3000),
      tar = tarArchive([
        { name: "one", data: zeros },
        { name: "folder/", type: "5" },
        { name: "two", data: zeros },
        { name: "three", data: zeros },
      ]);
    const ends = [0, 3584, 4096, 7680, 11264];
    assertEquals(tar.length, ends.at(-1)! + 1024);
    const message = "it is cut short: after ";
    for (const end of [...ends, ends.at(-1)! + 512]) {
      const cut = tar.slice(0, end);
      await assertRejects(() => unpacked(folder, "x.tar", cut), FormatError, message);
      await assertRejects(() => unpacked(folder, "x.tar.gz", gzipSync(cut)), FormatError, message);
      const around = tarOf({ "inner.tar": cut });
      await Deno.writeFile(`${folder}/around.tar`, around);
      const inner = async () => {
        for await (const file of archiveFiles(`${folder}/around.tar`, { bytes: 2 ** 20, entries: 9 })) {
          for await (const { path } of innerFiles(file, { bytes: 2 ** 20, entries: 9 })) assert(path !== "");
        }
      };
      await assertRejects(inner, FormatError, `Cannot unpack inner.tar: ${message}`);
    }
    assertEquals(await unpacked(folder, "x.tar", tar), ["one", "two", "three"]);
    // More zeros than are required: padding to a record of 10,240 bytes.
    const padded = new Uint8Array(20480);
    padded.set(tar);
    assertEquals(await unpacked(folder, "x.tar", padded), ["one", "two", "three"]);
  }));

Deno.test("archiveFiles() reads what GNU tar and Python's tarfile wrote", () =>
  inTemporaryFolder(async (folder) => {
    const long = "folder/" + "long/".repeat(30) + "name.bin";
    for (const name of ["gnu.tar", "pax.tar", "ustar.tar", "python_gnu.tar", "python_pax.tar"]) {
      const packed = await Deno.readFile(fromFileUrl(new URL(`./fixtures/${name}.gz`, import.meta.url)));
      const paths = name === "ustar.tar" ? ["folder/a.txt", "folder/b.bin"] : ["folder/a.txt", "folder/b.bin", long];
      assertEquals((await unpacked(folder, `${name}.gz`, packed)).sort(), paths, name);
      assertEquals((await unpacked(folder, name, gunzipSync(packed))).sort(), paths, name);
      assertEquals(await Deno.readTextFile(`${folder}/out/folder/a.txt`), "some text\n");
      await Deno.remove(`${folder}/out`, { recursive: true });
    }
  }));

Deno.test("archiveFiles() reads gzip files of several members, and such as zeros follow", () =>
  inTemporaryFolder(async (folder) => {
    const tar = tarOf({ "one": BYTES, "two": LARGE });
    const parts = [tar.subarray(0, 700), tar.subarray(700, 100_000), tar.subarray(100_000)].map((x) => gzipSync(x));
    for (const packed of [concat(parts), concat([gzipSync(tar), new Uint8Array(640)])]) {
      assertEquals(await unpacked(folder, "x.tgz", packed), ["one", "two"]);
      assertEquals(await Deno.readFile(`${folder}/out/two`), LARGE);
      await Deno.remove(`${folder}/out`, { recursive: true });
    }
    await assertRejects(() => unpacked(folder, "x.tgz", concat(parts.slice(0, 2))), FormatError, "Cannot unpack");
    await assertRejects(() => unpacked(folder, "x.tgz", concat([...parts, BYTES])), FormatError, "Cannot unpack");
  }));

Deno.test("archiveFiles() says what a file is that is no gzip file", () =>
  inTemporaryFolder(async (folder) => {
    for (
      const [bytes, found] of [
        [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "it is an xz file"],
        [[0x50, 0x4b, 3, 4], "it is a zip archive"],
        [[...new TextEncoder().encode("<html>Not found</html>")], 'it begins with the text "<html>Not found</html>"'],
        [[...tarOf({ "a": BYTES })], "it is a tar archive that is not compressed"],
        [[0x1f], "it begins with the bytes 1f"],
        [[], "it is empty"],
      ] as const
    ) {
      await assertRejects(
        () => unpacked(folder, "x.tar.gz", Uint8Array.from(bytes)),
        FormatError,
        `Cannot unpack ${folder}/x.tar.gz: it is no gzip file: ${found}`,
      );
    }
  }));

Deno.test("archiveFiles() leaves no listener behind for each wait", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/x.tar`, tarOf({ "large": new Uint8Array(4 * 2 ** 20) }));
    const { extract } = tar;
    type Watched = ReturnType<typeof extract> & { write(chunk: Uint8Array): boolean };
    let watched: Watched | undefined, waits = 0, most = 0;
    tar.extract = (...options: Parameters<typeof extract>) => {
      watched = extract(...options) as Watched;
      const { write } = watched;
      watched.write = (chunk: Uint8Array) => {
        const flowing = write.call(watched, chunk);
        if (!flowing) waits++;
        return flowing;
      };
      return watched;
    };
    const listeners = () => watched!.listenerCount("close") + watched!.listenerCount("drain");
    try {
      for await (const file of archiveFiles(`${folder}/x.tar`, { bytes: 2 ** 30, entries: 9 })) {
        const before = listeners();
        for await (const _ of file.body) most = Math.max(most, listeners() - before);
      }
    } finally {
      tar.extract = extract;
    }
    assert(waits > 11, `${waits} waits`);
    assertEquals(most, 0);
  }));

Deno.test("archiveFiles() refuses bombs: more bytes or files than are allowed, before they are written", () =>
  inTemporaryFolder(async (folder) => {
    const zeros = new Uint8Array(3 * 2 ** 20);
    const bomb = await gzip(tarOf({ "zeros": zeros }));
    await assertRejects(() => unpacked(folder, "x.tar.gz", bomb), FormatError, "more bytes or files");
    const huge = tarArchive([{ name: "huge", data: BYTES, size: 2 ** 32 }]);
    await assertRejects(() => unpacked(folder, "x.tar", huge), FormatError, "more bytes or files");
    const many = tarOf(Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`f${i}`, ""])));
    await assertRejects(() => unpacked(folder, "y.tar", many), FormatError, "more bytes or files");
    const zip = writeZip([{ name: "zeros", data: zeros }]);
    await assertRejects(() => unpacked(folder, "x.zip", zip), FormatError, "more bytes or files");
    assertEquals([...Deno.readDirSync(`${folder}/out`)].some(({ name }) => name === "zeros" || name === "huge"), false);
  }));

Deno.test("writeEntry() does not write again what is there whole", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/a`, BYTES);
    let read = false;
    const body = async function* () {
      read = true;
      yield LARGE;
    };
    await writeEntry(`${folder}/a`, { path: "a", size: BYTES.length, body: body() });
    assertEquals(read, false);
    await assertRejects(
      () => writeEntry(`${folder}/a`, { path: "a", size: 5, body: body() }),
      FormatError,
      "but states 5",
    );
    assertEquals(await Deno.readFile(`${folder}/a`), BYTES);
  }));
