import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { download, type DownloadOptions } from "../../tasks/data/download.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { type Behaviour, serve } from "./server.ts";

const FILE = Uint8Array.from({ length: 300_001 }, (_, i) => (i * 31 + (i >> 8)) % 256);
const SHA256 = createHash("sha256").update(FILE).digest("hex");
const MD5 = createHash("md5").update(FILE).digest("hex");
const QUICK: DownloadOptions = { attempts: 3, wait: 1, stall: 300 };

/** Downloads from a server that behaves as told; resolves to what it was asked for. */
async function fetched(
  folder: string,
  behaviours: readonly Behaviour[],
  { digest = { algorithm: "md5", hex: MD5 } as const, maxBytes = 2 ** 20, options = QUICK } = {},
): Promise<string[]> {
  await using server = serve({ "/a.bin": FILE }, { "/a.bin": behaviours });
  const path = `${folder}/a.bin`;
  try {
    const sha256 = await download({ url: `${server.address}/a.bin`, path, digest, maxBytes }, options);
    assertEquals(sha256, SHA256);
    assertEquals(await Deno.readFile(path), FILE);
    assertEquals(names(folder), ["a.bin"]);
    return server.requests;
  } catch (error) {
    // Whatever went wrong, nothing has the file's name.
    assertEquals(names(folder).includes("a.bin"), false);
    throw error;
  }
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("download() fetches a file whole, with and without a stated length", async () => {
  for (const behaviour of ["well", "is silent about length"] as const) {
    await inTemporaryFolder(async (folder) => {
      const seen: number[] = [];
      const options = { ...QUICK, onProgress: (bytes: number) => seen.push(bytes) };
      assertEquals(await fetched(folder, [behaviour], { options }), ["/a.bin"]);
      assertEquals(seen.at(-1), FILE.length);
    });
  }
});

Deno.test("download() goes on where a connection broke or stalled", async () => {
  for (const behaviour of ["breaks off", "stalls"] as const) {
    await inTemporaryFolder(async (folder) => {
      const [first, second, third] = await fetched(folder, [behaviour, behaviour, "well"]);
      assertEquals(first, "/a.bin");
      assertMatch(second, /^\/a\.bin \d+$/);
      assertEquals(Number(third.split(" ")[1]) > Number(second.split(" ")[1]), true);
    });
  }
});

Deno.test("download() goes on in a second run with what the first one kept", () =>
  inTemporaryFolder(async (folder) => {
    await using server = serve({ "/a.bin": FILE }, { "/a.bin": ["breaks off", "has nothing", "well"] });
    const file = { url: `${server.address}/a.bin`, path: `${folder}/a.bin`, maxBytes: 2 ** 20 };
    await assertRejects(() => download(file, QUICK), Error, "the server answers 404 Not Found");
    assertEquals(names(folder), ["a.bin.partial", "a.bin.partial.json"]);
    assertEquals(await download(file, QUICK), SHA256);
    assertMatch(server.requests[2], /^\/a\.bin \d+$/);
  }));

Deno.test("download() begins again where a server ignores ranges, or has another version by now", () =>
  inTemporaryFolder(async (folder) => {
    const requests = await fetched(folder, ["breaks off", "ignores ranges"]);
    assertEquals(requests.length, 2);
    await Deno.remove(`${folder}/a.bin`);
    await assertRejects(
      () => fetched(folder, ["breaks off", "has another version"]),
      Error,
      `but ${MD5} is published`,
    );
    // The other version was taken whole, not joined to the half of the first one.
    await using server = serve({ "/a.bin": FILE }, { "/a.bin": ["breaks off", "has another version"] });
    const file = { url: `${server.address}/a.bin`, path: `${folder}/a.bin`, maxBytes: 2 ** 20 };
    await download(file, QUICK);
    assertEquals(await Deno.readFile(file.path), FILE.map((byte) => byte ^ 0xff));
  }));

Deno.test("download() finds out that a server promised more than there is", () =>
  inTemporaryFolder(async (folder) => {
    assertEquals(await fetched(folder, ["promises too much"]), ["/a.bin", `/a.bin ${FILE.length}`]);
  }));

Deno.test("download() gives up on a connection that breaks too often, and says what is kept", () =>
  inTemporaryFolder(async (folder) => {
    const error = await assertRejects(() => fetched(folder, ["breaks off", "fails"]), Error);
    const pattern =
      /^Cannot download http:\S+: the server answers 503 .*; 150001 bytes are kept: run the command again/;
    assertMatch(error.message, pattern);
  }));

Deno.test("download() refuses a wrong digest and keeps nothing of the file", () =>
  inTemporaryFolder(async (folder) => {
    const digest = { algorithm: "md5", hex: "00000000000000000000000000000000" } as const;
    await assertRejects(
      () => fetched(folder, ["well"], { digest: digest as never }),
      Error,
      `its md5 is ${MD5}, but ${digest.hex} is published`,
    );
    assertEquals(names(folder), []);
    await assertRejects(
      () => fetched(folder, ["well"], { digest: { algorithm: "sha256", hex: "0" } as never }),
      Error,
      `its sha256 is ${SHA256}`,
    );
  }));

Deno.test("download() tries again where a server fails for a while, not where it has nothing", () =>
  inTemporaryFolder(async (folder) => {
    assertEquals((await fetched(folder, ["fails", "fails", "well"])).length, 3);
    await Deno.remove(`${folder}/a.bin`);
    await assertRejects(() => fetched(folder, ["fails"]), Error, "503 Service Unavailable; 0 bytes are kept");
    await assertRejects(() => fetched(folder, ["has nothing"]), Error, "404 Not Found");
  }));

Deno.test("download() refuses a file larger than expected, stated or not", async () => {
  for (const behaviour of ["well", "is silent about length"] as const) {
    await inTemporaryFolder(async (folder) => {
      await assertRejects(() => fetched(folder, [behaviour], { maxBytes: 300_000 }), Error, "300000");
      assertEquals(names(folder), []);
    });
  }
});

Deno.test("download() follows redirects, not to other protocols nor for ever", () =>
  inTemporaryFolder(async (folder) => {
    await using target = serve({ "/b.bin": FILE });
    assertEquals((await fetched(folder, [`redirects to ${target.address}/b.bin`])).length, 1);
    assertEquals(target.requests, ["/b.bin"]);
    await Deno.remove(`${folder}/a.bin`);
    await assertRejects(() => fetched(folder, ["redirects to /a.bin"]), Error, "redirects more than 10 times");
    await assertRejects(() => fetched(folder, ["redirects to file:///etc/passwd"]), Error, "its protocol is file:");
  }));

Deno.test({
  name: "download() names the flag that permits a host, and the host that it was redirected to",
  permissions: { net: ["127.0.0.1"], read: true, write: true },
  fn: () =>
    inTemporaryFolder(async (folder) => {
      const file = { url: "https://data.invalid/a.bin", path: `${folder}/a.bin`, maxBytes: 1 };
      await assertRejects(() => download(file, QUICK), Error, "run with --allow-net=data.invalid");
      const elsewhere = fetched(folder, ["redirects to https://data.invalid/b.bin"]);
      await assertRejects(() => elsewhere, Error, "run with --allow-net=data.invalid");
    }),
});
