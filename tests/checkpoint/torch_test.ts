import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { FormatError } from "../../lib/errors.ts";
import { isRecord, type PickleRecord } from "../../lib/checkpoint/pickle.ts";
import { findStateDict } from "../../lib/checkpoint/state_dict.ts";
import {
  type HostOrStorage,
  isHostTensor,
  readTorch,
  type TorchValue,
  writeTorch,
} from "../../lib/checkpoint/torch.ts";
import type { HostTensor, StateDict } from "../../lib/tensor.ts";
import { assertRecorded, everyDType, fixture, tensor } from "./fixtures.ts";

const MARKER = "/tmp/swagpu_pickle_was_executed";

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function asTensor(value: TorchValue): HostTensor {
  if (!isHostTensor(value)) throw new Error("a tensor is required");
  return value;
}

function asMap(value: TorchValue): Map<TorchValue, TorchValue> {
  if (!(value instanceof Map)) throw new Error("a dictionary is required");
  return value;
}

function asRecord(value: TorchValue | undefined): PickleRecord<HostOrStorage> {
  if (value === undefined || !isRecord(value)) throw new Error("an inert record is required");
  return value;
}

for (
  const name of [
    "dtypes.pt",
    "dtypes.pth",
    "dtypes_p4.pt",
    "dtypes_p4.pth",
    "strided.pt",
    "strided.pth",
    "deflated.pt",
    "big_endian.pt",
  ]
) {
  Deno.test(`readTorch() reads ${name} as PyTorch does, in order, type, shape and value`, () => {
    assertRecorded(findStateDict(readTorch(fixture(name))), name);
  });

  Deno.test(`readTorch() reads ${name} at an odd place in memory`, () => {
    const bytes = fixture(name);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    assertRecorded(findStateDict(readTorch(shifted.subarray(1))), name);
  });
}

Deno.test("readTorch() reads a Node.js Buffer, whose slices are views", () => {
  for (const name of ["dtypes.pth", "strided.pt"]) {
    const odd = Buffer.concat([Buffer.from("x"), fixture(name)]).subarray(1);
    assertRecorded(findStateDict(readTorch(odd)), name);
  }
});

Deno.test("readTorch() reads a bare tensor", () => {
  const found = asTensor(readTorch(fixture("tensor.pt")));
  assertEquals([found.dtype, [...found.shape], [...found.data]], ["float32", [2, 3], [0, 1, 2, 3, 4, 5]]);
});

Deno.test("readTorch() keeps negative zero", () => {
  const state = findStateDict(readTorch(fixture("dtypes.pt")));
  for (const dtype of ["float64", "float32", "float16", "bfloat16"]) {
    assert(Object.is(state.get(dtype)!.data[1], -0), dtype);
  }
});

Deno.test("readTorch() keeps everything else in a Lightning checkpoint, inert", () => {
  const value = asMap(readTorch(fixture("lightning.ckpt")));
  assertEquals(value.get("epoch"), 3);
  const settings = asRecord(value.get("hyper_parameters"));
  assertEquals(settings.global, "argparse.Namespace");
  const state = asMap(settings.state);
  assertEquals(state.get("lr"), 0.1);
  assertEquals(state.get("names"), new Set(["a", "b"]));
  assertEquals(state.get("key"), new TextEncoder().encode("bytes"));
});

for (const name of ["evil.pt", "evil.pth"]) {
  Deno.test(`readTorch() executes nothing of ${name}`, () => {
    const payload = asRecord(asMap(readTorch(fixture(name))).get("payload"));
    assertEquals(payload.global, "posix.system");
    assertEquals(payload.args.length, 1);
    assert(!exists(MARKER), "the payload was executed");
  });
}

Deno.test("readTorch() refuses bombs before it inflates them", () => {
  const before = Deno.memoryUsage().rss;
  const start = performance.now();
  for (const name of ["bomb.pt", "bomb_stated.pt", "bomb_disagrees.pt", "bomb_expanded.pt"]) {
    assertThrows(() => readTorch(fixture(name)), FormatError);
  }
  assert(performance.now() - start < 2000, "refusing took long");
  assert(Deno.memoryUsage().rss - before < 100e6, "refusing took memory");
});

Deno.test("readTorch() says what another kind of file is", () => {
  const message = (name: string): string => assertThrows(() => readTorch(fixture(name), name), FormatError).message;
  assertStringIncludes(message("scripted.pt"), "TorchScript");
  assertStringIncludes(message("plain.pkl"), "not a file that torch.save wrote");
  assertStringIncludes(message("arrays.npz"), "NumPy arrays");
  assertStringIncludes(message("expected.json"), "Cannot read expected.json as a PyTorch checkpoint");
});

Deno.test("readTorch() notices a changed weight by its checksum", () => {
  const bytes = fixture("plain.pt");
  const at = new Uint8Array(Float32Array.of(63).buffer);
  const index = bytes.findLastIndex((_, i) => at.every((byte, k) => bytes[i + k] === byte));
  bytes[index + 3] ^= 1;
  assertStringIncludes(assertThrows(() => readTorch(bytes), FormatError).message, "checksum");
});

Deno.test("writeTorch() is read back by readTorch(): a state dictionary of every type", () => {
  const state = everyDType();
  assertEquals(readTorch(writeTorch(state)), state as TorchValue);
});

Deno.test("writeTorch() is read back by readTorch(): one tensor", () => {
  const one = tensor("float32", [2, 0, 3], new Float32Array(0));
  assertEquals(readTorch(writeTorch(one)), one);
  assertEquals(readTorch(writeTorch(new Map())), new Map());
});

Deno.test("writeTorch() starts every storage at a multiple of 64 bytes", () => {
  const state: StateDict = new Map(
    [3, 5, 17].map((n) => [`t${n}`, tensor("float32", [n], new Float32Array(n).fill(n))]),
  );
  const found = findStateDict(readTorch(writeTorch(state)));
  for (const { data } of found.values()) assertEquals(data.byteOffset % 64, 0);
});

Deno.test("readTorch() makes views of contiguous tensors, not copies", () => {
  const bytes = writeTorch(new Map([["weight", tensor("float32", [1000], new Float32Array(1000))]]));
  assertEquals(findStateDict(readTorch(bytes)).get("weight")!.data.buffer, bytes.buffer);
  const shared = findStateDict(readTorch(fixture("strided.pth")));
  assertEquals(shared.get("tail")!.data.buffer, shared.get("base")!.data.buffer);
});

Deno.test("writeTorch() refuses an array of another type or length with TypeError", () => {
  assertThrows(() => writeTorch(tensor("float32", [2], new Float64Array(2))), TypeError, "Float32Array is required");
  assertThrows(() => writeTorch(tensor("float32", [3], new Float32Array(2))), TypeError, "[3]");
});
