import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import { readNpy, readNpz, writeNpy, writeNpz } from "../../lib/checkpoint/npy.ts";
import { assertRecorded, everyDType, fixture, tensor } from "./fixtures.ts";

for (const name of ["arrays.npz", "arrays_compressed.npz"]) {
  Deno.test(`readNpz() reads ${name} as NumPy does, Fortran order included`, () => {
    assertRecorded(readNpz(fixture(name)), "arrays.npz");
  });
}

Deno.test("writeNpz() is read back by readNpz()", () => {
  const arrays = everyDType();
  arrays.delete("bfloat16");
  const found = readNpz(writeNpz(arrays));
  assertEquals(found, arrays);
  assertEquals([...found.keys()], [...arrays.keys()]);
});

Deno.test("writeNpy() writes version 1.0 with the elements at a multiple of 64 bytes", () => {
  const bytes = writeNpy(tensor("float32", [2, 1], Float32Array.of(1, 2)));
  assertEquals([...bytes.subarray(0, 8)], [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  assertEquals(bytes.length, 128 + 8);
  assertStringIncludes(
    new TextDecoder("latin1").decode(bytes.subarray(10, 128)),
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }",
  );
  assertEquals(readNpy(bytes).data, Float32Array.of(1, 2));
});

Deno.test("writeNpy() refuses bfloat16 with TypeError", () => {
  assertThrows(() => writeNpy(tensor("bfloat16", [1], Float32Array.of(1))), TypeError, "bfloat16");
});

Deno.test("readNpy() refuses what is no plain array", () => {
  const message = (bytes: Uint8Array): string => assertThrows(() => readNpy(bytes, "FILE"), FormatError).message;
  assertStringIncludes(message(new Uint8Array(20)), "Cannot read FILE as a NumPy array: it does not begin");
  assertStringIncludes(message(fixture("objects.npy")), "'|O'");
  assertStringIncludes(message(fixture("big_endian.npy")), "'>f4'");
  const bytes = writeNpy(tensor("float32", [3], new Float32Array(3)));
  assertStringIncludes(message(bytes.subarray(0, bytes.length - 1)), "takes 12 bytes, but the file holds 11");
  assertStringIncludes(message(bytes.subarray(0, 60)), "ends at byte 128 of 60");
  const text = String.fromCharCode(...bytes.subarray(0, 128));
  const edited = (from: string, to: string): Uint8Array => {
    const padded = text.replace(from, to);
    return Uint8Array.from([...padded].map((c) => c.charCodeAt(0)).slice(0, 128).concat(new Array(12).fill(0)));
  };
  assertStringIncludes(message(edited("(3,)", "(99999999999999999999,)")), "sizes are integers");
  assertStringIncludes(message(edited("'shape'", "'shapx'")), "shape are required");
  assertStringIncludes(message(edited("False", "Maybe")), "shape are required");
});

Deno.test("readNpz() refuses another archive", () => {
  assertThrows(() => readNpz(fixture("plain.pt")), FormatError, "is not an array");
});
