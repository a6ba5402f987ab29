import { assert, assertEquals } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import { readNpz } from "../../lib/checkpoint/npy.ts";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { philox4x32 } from "../../lib/random/philox.ts";
import { everyDType, fixture } from "./fixtures.ts";

type Reader = (bytes: Uint8Array) => Promise<unknown>;

const checkpoint: Reader = (bytes) => readCheckpoint(bytes, "the fixture");
const npz: Reader = (bytes) => Promise.resolve().then(() => readNpz(bytes));
const SUBJECTS: readonly (readonly [string, Uint8Array, Reader])[] = [
  ...[
    "dtypes.pt",
    "dtypes_p4.pth",
    "strided.pth",
    "deflated.pt",
    "lightning.ckpt",
    "module.pth",
    "evil.pth",
    "net.onnx",
  ]
    .map((name) => [name, fixture(name), checkpoint] as const),
  ["every.safetensors", writeSafetensors(everyDType(), { key: "value" }), checkpoint],
  ["arrays_compressed.npz", fixture("arrays_compressed.npz"), npz],
];
const SLOWEST_MS = 2000;

/** Whether the bytes were refused; fails on any error but FormatError, on a long wait and on much memory. */
async function refuses(read: Reader, bytes: Uint8Array, what: string): Promise<boolean> {
  const start = performance.now();
  try {
    await read(bytes);
    return false;
  } catch (error) {
    if (!(error instanceof FormatError)) throw new Error(what, { cause: error });
    assert(!error.message.endsWith(".") && !error.message.includes("\n"), `${what}: ${error.message}`);
    return true;
  } finally {
    assert(performance.now() - start < SLOWEST_MS, `${what} took ${performance.now() - start} ms`);
  }
}

for (const [name, bytes, read] of SUBJECTS) {
  Deno.test(`${read === npz ? "readNpz" : "readCheckpoint"}() refuses ${name} cut short anywhere`, async () => {
    assertEquals(await refuses(read, bytes, name), false, "the whole file must be readable");
    for (let part = 0; part < 64; part++) {
      const cut = bytes.subarray(0, Math.floor(bytes.length * part / 64));
      const refused = await refuses(read, cut, `${name} cut to ${cut.length} bytes`);
      // ONNX may end between two of a graph's fields; every other format states its end.
      if (!name.endsWith(".onnx")) assert(refused, `${name} cut to ${cut.length} bytes was read`);
    }
  });

  Deno.test(`${read === npz ? "readNpz" : "readCheckpoint"}() survives 500 bit flips of ${name}`, async () => {
    const before = Deno.memoryUsage().rss;
    for (let i = 0; i < 500; i++) {
      const bit = philox4x32([i, 0, 0, 0], [name.length, bytes.length])[0] % (bytes.length * 8);
      const flipped = bytes.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      await refuses(read, flipped, `${name} with bit ${bit} flipped`);
      assert(Deno.memoryUsage().rss - before < 200e6, `${name} with bit ${bit} flipped took memory`);
    }
  });
}
