import { assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { download, type DownloadOptions } from "../../tasks/data/download.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { type Behaviour, moreOf, serve } from "./server.ts";

const FILE = Uint8Array.from({ length: 100_001 }, (_, i) => (i * 31 + (i >> 8)) % 256);
const OTHER = FILE.map((byte) => byte ^ 0xff);
const QUICK: DownloadOptions = { wait: 1, stall: 300 };

/** What a download from a server that behaves as told comes to: the file's bytes, and the requests. */
async function fetched(
  behaviours: readonly Behaviour[],
  wanted?: Uint8Array,
  attempts = 3,
): Promise<{ bytes: Uint8Array; requests: readonly string[] }> {
  let outcome;
  await inTemporaryFolder(async (folder) => {
    await using server = serve({ "/a.bin": FILE }, { "/a.bin": behaviours });
    const path = `${folder}/a.bin`;
    const digest = wanted && { algorithm: "md5" as const, hex: createHash("md5").update(wanted).digest("hex") };
    try {
      await download({ url: `${server.address}/a.bin`, path, digest, maxBytes: 2 ** 20 }, { ...QUICK, attempts });
      outcome = { bytes: await Deno.readFile(path), requests: server.requests };
    } catch (error) {
      assertEquals([...Deno.readDirSync(folder)].some(({ name }) => name === "a.bin"), false);
      throw error;
    }
  });
  return outcome!;
}

Deno.test("download() never joins two versions, whatever the server says of them", async () => {
  for (
    const [second, bytes] of [
      ["has more bytes unversioned", moreOf(FILE)],
      ["has other bytes unversioned", OTHER],
      ["ignores conditions", OTHER],
    ] as const
  ) {
    const first = second === "ignores conditions" ? "breaks off" : "breaks off unversioned";
    assertEquals((await fetched([first, second])).bytes, bytes, second);
  }
});

Deno.test("download() begins again where the rest is of a file of another length", async () => {
  const grown = moreOf(FILE);
  // The digest would tell in the end that two versions were joined: the download must not fail for it.
  const { bytes, requests } = await fetched(["breaks off unversioned", "has more bytes unversioned"], grown);
  assertEquals(bytes, grown);
  assertEquals(requests, ["/a.bin", "/a.bin 50001", "/a.bin"]);
});

Deno.test("download() goes on without a version where a digest tells in the end", async () => {
  const { bytes, requests } = await fetched(["breaks off unversioned", "breaks off unversioned", "well"], FILE);
  assertEquals(bytes, FILE);
  assertEquals(requests, ["/a.bin", "/a.bin 50001", "/a.bin 75001"]);
  await assertRejects(() => fetched(["breaks off unversioned", "has other bytes unversioned"], FILE), Error, "its md5");
});

Deno.test("download() does not go on for ever where nothing can be kept", async () => {
  await assertRejects(() => fetched(["breaks off unversioned"]), Error, "; 0 bytes are kept");
});

Deno.test("download() takes no part of a file for the whole", async () => {
  // As long as the file itself, which the server has after all.
  assertEquals((await fetched(["ends early", "well"])).bytes, FILE);
  await assertRejects(() => fetched(["states too little"]), Error, "has 100001");
  await assertRejects(() => fetched(["states too little"], FILE), Error, "its md5");
  await assertRejects(() => fetched(["promises too much"], undefined, 2), Error, "and had 200002 when the download");
  await assertRejects(
    () => fetched(["breaks off", "states too little of the whole"], undefined, 2),
    Error,
    "the server has 10 bytes",
  );
  // Nothing more is known of these than what they send.
  for (const behaviour of ["well", "is silent about length", "ignores ranges"] as const) {
    assertEquals((await fetched([behaviour])).bytes, FILE, behaviour);
  }
});

Deno.test("download() asks for the file's own bytes: those of a compressed answer cannot be gone on with", async () => {
  const { bytes, requests } = await fetched(["compresses and breaks off", "well"]);
  assertEquals(bytes, FILE);
  assertEquals(requests[1], "/a.bin 50001");
});

Deno.test("download() tells what it could not remove", () =>
  inTemporaryFolder(async (folder) => {
    await using server = serve({ "/a.bin": FILE });
    // A folder has the partial file's name.
    await Deno.mkdir(`${folder}/a.bin.partial/full`, { recursive: true });
    const file = { url: `${server.address}/a.bin`, path: `${folder}/a.bin`, maxBytes: 10 };
    await assertRejects(() => download(file, { ...QUICK, attempts: 1 }), Error, "not empty");
  }));
