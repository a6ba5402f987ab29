import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import {
  isRecord,
  type PickleHooks,
  type PickleRecord,
  type PickleValue,
  readPickle,
} from "../../lib/checkpoint/pickle.ts";

/** Bytes of a pickle: text as Latin-1, numbers as bytes. */
function pickled(...parts: readonly (string | number)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => typeof part === "number" ? [part] : [...part].map((c) => c.charCodeAt(0))),
  );
}

function read(...parts: readonly (string | number)[]): PickleValue {
  return readPickle(pickled(...parts)).value;
}

function record(...parts: readonly (string | number)[]): PickleRecord {
  const value = read(...parts);
  if (!isRecord(value)) throw new Error(`${parts} makes no inert record`);
  return value;
}

function refused(...parts: readonly (string | number)[]): string {
  return assertThrows(() => read(...parts), FormatError).message;
}

Deno.test("readPickle() reads plain values of every protocol", () => {
  assertEquals(read("N."), null);
  assertEquals([read(0x88, "."), read(0x89, "."), read("I01\n."), read("I00\n.")], [true, false, true, false]);
  assertEquals([read("I-12\n."), read("L123L\n."), read("K", 255, "."), read("M", 1, 2, ".")], [-12, 123, 255, 513]);
  assertEquals(read("J", 0xff, 0xff, 0xff, 0xff, "."), -1);
  assertEquals([read(0x8a, 1, 0x80, "."), read(0x8a, 0, "."), read(0x8a, 2, 0xff, 0, ".")], [-128, 0, 255]);
  assertEquals(read(0x8a, 9, ...new Array(8).fill(0), 1, "."), 2n ** 64n);
  assertEquals(read("L18446744073709551616L\n."), 2n ** 64n);
  assertEquals([read("F1.5e3\n."), read("Finf\n."), read("G", 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, ".")], [
    1500,
    Infinity,
    1.5,
  ]);
  assertEquals([read("S'it\\'s \\x41\\n'\n."), read("Vcaf\\u00e9\n."), read("U", 2, "h\xe9.")], [
    "it's A\n",
    "café",
    "hé",
  ]);
  assertEquals([read("X", 2, 0, 0, 0, 0xc3, 0xa9, "."), read(0x8c, 1, "a.")], ["é", "a"]);
  assertEquals(read("C", 2, 1, 2, "."), Uint8Array.of(1, 2));
});

Deno.test("readPickle() reads containers, marks and the memo", () => {
  assertEquals(read("(lp0\nI1\naI2\na."), [1, 2]);
  assertEquals(read("]q", 0, "(K", 1, "K", 2, "e."), [1, 2]);
  assertEquals(read("(I1\nI2\nt."), [1, 2]);
  assertEquals(read("K", 1, "K", 2, 0x86, "."), [1, 2]);
  assertEquals(read("(S'a'\nI1\nd."), new Map([["a", 1]]));
  assertEquals(read("}(U", 1, "bK", 1, "U", 1, "aK", 2, "u."), new Map([["b", 1], ["a", 2]]));
  assertEquals(read(0x8f, 0x94, "(K", 1, "K", 1, 0x90, "."), new Set([1]));
  const shared = read("]q", 5, "h", 5, 0x86, ".") as unknown[];
  assert(shared[0] === shared[1]);
});

Deno.test("readPickle() makes Python's own containers", () => {
  assertEquals(read("ccollections\nOrderedDict\n)R(K", 1, "K", 2, "u."), new Map([[1, 2]]));
  assertEquals(read("ccollections\nOrderedDict\n]]K", 1, "aK", 2, "aa", 0x85, "R."), new Map([[1, 2]]));
  assertEquals(read("c__builtin__\nset\n(K", 1, "K", 2, "l", 0x85, "R."), new Set([1, 2]));
  assertEquals(read("c_codecs\nencode\n(Vh\\u00e9\nVlatin1\ntR."), Uint8Array.of(0x68, 0xe9));
});

Deno.test("readPickle() leaves calls of unknown names inert, in every way that a pickle can call", () => {
  const calls = [
    ["cos\nsystem\n(S'id'\ntR."],
    ["(S'id'\nios\nsystem\n."],
    ["(cos\nsystem\nS'id'\no."],
    ["cos\nsystem\n(S'id'\nt", 0x81, "."],
    ["cos\nsystem\n(S'id'\nt}", 0x92, "."],
    [0x8c, 2, "os", 0x8c, 6, "system", 0x93, "(S'id'\ntR."],
  ];
  for (const parts of calls) {
    const value = record(...parts);
    assertEquals([value.global, value.args, value.state], ["os.system", ["id"], null]);
  }
});

Deno.test("readPickle() keeps state, items and entries of an inert record", () => {
  const value = record("cm\nC\n)", 0x81, "(K", 1, "e(K", 2, "K", 3, "u}(U", 1, "aK", 4, "ub.");
  assertEquals([value.items, value.entries, value.state], [[1], new Map([[2, 3]]), new Map([["a", 4]])]);
});

Deno.test("readPickle() passes persistent ids and calls to its hooks, and says where the pickle ended", () => {
  const hooks: PickleHooks<{ readonly id: string }> = {
    persistentLoad: (id) => ({ id: `<${id}>` }),
    construct: (global, args) => global === "m.f" ? { id: `f ${args.length}` } : undefined,
  };
  const bytes = pickled(0, "(U", 1, "kQPline\ncm\nf\n(NNtRl.", "tail");
  const { value, end } = readPickle(bytes, hooks, 1);
  assertEquals(value, [{ id: "<k>" }, { id: "<line>" }, { id: "f 2" }]);
  assertEquals(end, bytes.length - 4);
});

Deno.test("readPickle() refuses what is no pickle", () => {
  assertStringIncludes(refused(), "without its last opcode");
  assertStringIncludes(refused("N"), "without its last opcode");
  assertStringIncludes(refused("NN."), "2 values");
  assertStringIncludes(refused("(N."), "1 open groups");
  assertStringIncludes(refused("."), "0 values");
  assertStringIncludes(refused("a."), "takes a value that it never gave");
  assertStringIncludes(refused("t."), "never opened");
  assertStringIncludes(refused("h", 3, "."), "never kept");
  assertStringIncludes(refused("K"), "ends after 1");
  assertStringIncludes(refused("X", 0xff, 0xff, 0xff, 0xff, "a."), "needs 4294967295 bytes");
  assertStringIncludes(refused(0x8e, ...new Array(8).fill(0xff), "."), "download");
  assertStringIncludes(refused(0x8b, 0, 0, 1, 0, "."), "an integer of 65536 bytes");
  assertStringIncludes(refused(0x80, 9, "."), "protocol 9");
  assertStringIncludes(refused("X", 1, 0, 0, 0, 0xff, "."), "UTF-8");
  assertStringIncludes(refused("I1x\n."), "an integer is required");
  assertStringIncludes(refused("Fx\n."), "a number is required");
  assertStringIncludes(refused("}(Nu."), "without a value");
  assertStringIncludes(refused("N(Nu."), "sets entries of None");
  assertStringIncludes(refused("N)R."), "only classes and functions");
  assertStringIncludes(refused("cm\nf\nNR."), "a tuple is required");
  assertStringIncludes(refused("NQ."), "outside itself");
  assertStringIncludes(refused(0xff, "."), "no opcode");
});

Deno.test("readPickle() bounds what a small pickle can ask for", () => {
  const pairs = "(" + "NN\x86".repeat(1000) + "lq\x00";
  const copies = "ccollections\nOrderedDict\nq\x01" + "h\x01h\x00\x85R0".repeat(20000);
  assertStringIncludes(refused(pairs, copies, "."), "more than a file of this size may");
  assertStringIncludes(refused("(".repeat(5000), "."), "nested");
  const bytes = new Uint8Array(5 << 20).fill("N".charCodeAt(0));
  assertStringIncludes(assertThrows(() => readPickle(bytes), FormatError).message, "opcodes long");
  assertStringIncludes(refused("X", 0, 4, 0, 0, "a".repeat(1024), "2", 0x93, "."), "a name of 2048");
});
