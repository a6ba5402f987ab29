import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { type MatArray, readMat } from "../../lib/data/mat.ts";
import { FormatError } from "../../lib/errors.ts";

function read(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(fromFileUrl(new URL(`../fixtures/mat/${name}.mat`, import.meta.url)));
}

function text(array: MatArray | undefined): string {
  if (array?.kind !== "text") throw new Error(`found ${array?.kind}`);
  return array.text;
}

function numbers(array: MatArray | undefined): number[] {
  if (array?.kind !== "numeric") throw new Error(`found ${array?.kind}`);
  return [...array.values];
}

for (const suffix of ["", "_plain"]) {
  const packing = suffix === "" ? "compressed" : "plain";

  Deno.test(`readMat() reads ${packing} label files as SciPy wrote them`, async () => {
    const labels = (await readMat(read(`imagelabels${suffix}`))).get("labels");
    assertEquals(labels?.shape, [1, 12]);
    assertEquals(numbers(labels), Array.from({ length: 12 }, (_, i) => i * 37 % 256 % 102 + 1));
    const sets = await readMat(read(`setid${suffix}`));
    assertEquals([...sets.keys()], ["trnid", "valid", "tstid"]);
    assertEquals(numbers(sets.get("trnid")), [2, 5, 11]);
    assertEquals(numbers(sets.get("tstid")), [3, 4, 6, 7, 8, 9, 10]);
  });

  Deno.test(`readMat() reads ${packing} numbers of every type, texts and empty arrays, and leaves cells out`, async () => {
    const found = await readMat(read(`many${suffix}`));
    // Column by column.
    assertEquals(numbers(found.get("doubles")), [1.5, 3.25, -2, 1e300]);
    assertAlmostEquals(numbers(found.get("singles"))[0], 0.5);
    assertEquals(numbers(found.get("longs")), [-(2 ** 40), 7]);
    assertEquals(numbers(found.get("shorts")), [-3, 300]);
    assertEquals(text(found.get("word")), "Grüße");
    assertEquals(found.get("nothing")?.shape, [0, 3]);
    assertEquals(found.has("cells"), false);
  });

  Deno.test(`readMat() reads ImageNet's ${packing} structures`, async () => {
    const synsets = (await readMat(read(`meta${suffix}`))).get("synsets");
    if (synsets?.kind !== "struct") throw new Error(`found ${synsets?.kind}`);
    assertEquals(synsets.shape, [3, 1]);
    const rows = synsets.elements.map((fields) => [
      numbers(fields.get("ILSVRC2012_ID"))[0],
      text(fields.get("WNID")),
      numbers(fields.get("num_children"))[0],
    ]);
    assertEquals(rows, [[1, "n00000011", 0], [2, "n00000022", 0], [3, "n00000033", 2]]);
  });
}

Deno.test("readMat() refuses what is no MATLAB file, and names the file", async () => {
  await assertRejects(() => readMat(new Uint8Array(200), "a.mat"), FormatError, "Cannot read a.mat as a MATLAB file");
  await assertRejects(() => readMat(new Uint8Array(3)), FormatError, "does not begin");
});

Deno.test("readMat() makes of any truncation a FormatError or fewer variables", async () => {
  for (const name of ["setid", "setid_plain", "meta", "meta_plain"]) {
    const whole = read(name);
    const full = (await readMat(whole)).size;
    for (let length = 0; length < whole.length; length++) {
      const found = await readMat(whole.slice(0, length)).catch((error) => {
        assert(error instanceof FormatError, `${name} at ${length}: ${error}`);
      });
      assert(found === undefined || found.size < full, `${name} at ${length}`);
    }
  }
});

Deno.test("readMat() makes of any flipped bit a FormatError or variables", async () => {
  for (const name of ["setid", "meta_plain", "many_plain"]) {
    const bytes = read(name);
    for (let at = 126; at < bytes.length; at++) {
      bytes[at] ^= 1 << (at % 8);
      await readMat(bytes).catch((error) => assert(error instanceof FormatError, `${name} at ${at}: ${error}`));
      bytes[at] ^= 1 << (at % 8);
    }
  }
});

Deno.test("readMat() refuses a variable that inflates without bound", async () => {
  const zeros = new Blob([new Uint8Array(70 * 2 ** 20)]).stream().pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(zeros).arrayBuffer());
  const bytes = new Uint8Array(136 + packed.length);
  bytes.set(read("setid").subarray(0, 128));
  new DataView(bytes.buffer).setUint32(128, 15, true);
  new DataView(bytes.buffer).setUint32(132, packed.length, true);
  bytes.set(packed, 136);
  await assertRejects(() => readMat(bytes), FormatError, "inflates to more than");
});
