import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { everyDType, tensor } from "./fixtures.ts";

/** A file with this header, whatever it is, and `size` bytes of data. */
function file(header: unknown, size: number, length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + size);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function slot(shape: unknown, begin: unknown, end: unknown, dtype: unknown = "F32"): unknown {
  return { dtype, shape, data_offsets: [begin, end] };
}

Deno.test("writeSafetensors() is read back by readSafetensors(), tensors and metadata, in order", () => {
  const state = everyDType(), metadata = { arch: "resnet20", note: 'é\n"' };
  const found = readSafetensors(writeSafetensors(state, metadata));
  assertEquals(found.tensors, state);
  assertEquals([...found.tensors.keys()], [...state.keys()]);
  assertEquals(found.metadata, metadata);
  assertEquals(readSafetensors(writeSafetensors(new Map())), { tensors: new Map(), metadata: {} });
});

Deno.test("writeSafetensors() aligns the data and each tensor to its width", () => {
  const bytes = writeSafetensors(everyDType());
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  assertEquals(start % 8, 0);
  for (const { dtype, data } of readSafetensors(bytes).tensors.values()) {
    if (dtype !== "float16" && dtype !== "bfloat16") assertEquals(data.buffer, bytes.buffer, `${dtype} is a copy`);
  }
});

Deno.test("writeSafetensors() refuses the reserved name and a wrong array with TypeError", () => {
  const one = tensor("float32", [1], Float32Array.of(1));
  assertThrows(() => writeSafetensors(new Map([["__metadata__", one]])), TypeError, "reserves");
  assertThrows(() => writeSafetensors(new Map([["a", { ...one, shape: [2] }]])), TypeError, "[2]");
});

Deno.test("readSafetensors() reads a file written by hand, tensors out of order", () => {
  const bytes = file({ b: slot([2], 4, 12), a: slot([], 0, 4) }, 12);
  new DataView(bytes.buffer, bytes.length - 12).setFloat32(0, 2.5, true);
  const { tensors } = readSafetensors(bytes);
  assertEquals([...tensors.keys()], ["b", "a"]);
  assertEquals([[...tensors.get("a")!.data], [...tensors.get("b")!.data]], [[2.5], [0, 0]]);
});

const HOSTILE: readonly (readonly [string, Uint8Array, string])[] = [
  ["a header longer than the file", file({}, 0, 1000n), "ends after"],
  ["a header of 2^63 bytes", file({}, 0, 2n ** 63n), "JSON header"],
  ["a header that is not JSON", file("{broken", 0), "not JSON"],
  ["a header nested without end", file('{"a":' + "[".repeat(200000), 0), "not JSON"],
  ["a tensor past the end", file({ a: slot([2], 0, 8) }, 4), "its tensors take 8 bytes"],
  ["bytes behind the tensors", file({ a: slot([1], 0, 4) }, 8), "its tensors take 4 bytes"],
  ["tensors that overlap", file({ a: slot([2], 0, 8), b: slot([2], 4, 12) }, 12), "must follow"],
  ["a hole between tensors", file({ a: slot([1], 0, 4), b: slot([1], 8, 12) }, 12), "must follow"],
  ["offsets that disagree with the shape", file({ a: slot([3], 0, 8) }, 8), "takes 12 bytes"],
  ["offsets in reverse", file({ a: slot([1], 8, 4) }, 8), "offsets are 8 to 4"],
  ["negative offsets", file({ a: slot([1], -4, 0) }, 0), "pair of offsets"],
  ["a negative size", file({ a: slot([-1], 0, 4) }, 4), "sizes are integers"],
  ["an absurd shape", file({ a: slot([2 ** 50, 2 ** 50], 0, 4) }, 4), "no tensor is so large"],
  ["a fractional size", file({ a: slot([0.5], 0, 2) }, 2), "sizes are integers"],
  ["an unknown type", file({ a: slot([1], 0, 1, "F8_E4M3") }, 1), "F8_E4M3"],
  ["a tensor that is null", file({ a: null }, 0), "of type undefined"],
  ["metadata that is not text", file({ __metadata__: { n: 1 } }, 0), "object of strings"],
  ["metadata that is a list", file({ __metadata__: ["x"] }, 0), "object of strings"],
];

for (const [what, bytes, message] of HOSTILE) {
  Deno.test(`readSafetensors() refuses ${what}`, () => {
    const error = assertThrows(() => readSafetensors(bytes, "FILE"), FormatError);
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.message, "Cannot read FILE as safetensors: ");
  });
}
