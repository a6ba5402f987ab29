/**
 * PyTorch's format before 1.6: five pickles in a row (a magic number, the protocol's version, facts about the system,
 * the object, the storages' keys), then each storage as its length and its elements.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { type Budget, spend } from "./budget.ts";
import { ELEMENT_BYTES } from "./elements.ts";
import { describeValue, type PickleHooks, readPickle } from "./pickle.ts";
import {
  constructTorch,
  type HostOrStorage,
  readStorageId,
  type StorageId,
  type TorchStorage,
  type TorchValue,
} from "./torch_tensor.ts";

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** Whatever a persistent id stands for: `("module", class, file, source)` is the class, everything else a storage. */
function persistent(id: TorchValue, storage: (id: StorageId) => TorchStorage): TorchValue {
  if (Array.isArray(id) && id[0] === "module" && id.length >= 2) return id[1];
  return storage(readStorageId(id));
}

/** The object's pickle, once for the storages that it names: they stand behind it, so they are not there yet. */
function listStorages(
  bytes: Uint8Array,
  start: number,
): { readonly ids: Map<string, StorageId>; readonly end: number } {
  const ids = new Map<string, StorageId>();
  const empty = new Uint8Array(0);
  const hooks: PickleHooks<HostOrStorage> = {
    persistentLoad: (value) =>
      persistent(value, (id) => {
        const known = ids.get(id.key);
        if (known !== undefined && (known.dtype !== id.dtype || known.length !== id.length)) {
          throw new FormatError(
            `the storage ${id.key} is named as ${known.length} ${known.dtype} and ${id.length} ${id.dtype}`,
          );
        }
        ids.set(id.key, id);
        return { kind: "storage", dtype: id.dtype, bytes: empty };
      }),
  };
  return { ids, end: readPickle(bytes, hooks, start).end };
}

function readStorages(
  bytes: Uint8Array,
  start: number,
  keys: readonly TorchValue[],
  ids: ReadonlyMap<string, StorageId>,
): Map<string, TorchStorage> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const storages = new Map<string, TorchStorage>();
  let at = start;
  for (const key of keys) {
    const id = typeof key === "string" ? ids.get(key) : undefined;
    if (id === undefined || storages.has(id.key)) {
      throw new FormatError(`the list of storages holds ${describeValue(key)}, which is unknown or stands there twice`);
    }
    const length = at + 8 <= bytes.length ? Number(view.getBigInt64(at, true)) : -1;
    const size = length * ELEMENT_BYTES[id.dtype];
    if (length !== id.length || at + 8 + size > bytes.length) {
      throw new FormatError(
        `the storage ${id.key} should be ${id.length} ${id.dtype} elements at byte ${at} of ${bytes.length}, but ` +
          `${length < 0 ? "the file ends there" : `${length} are stated`}; download the file again`,
      );
    }
    storages.set(id.key, { kind: "storage", dtype: id.dtype, bytes: bytes.subarray(at + 8, at + 8 + size) });
    at += 8 + size;
  }
  return storages;
}

function windowOf(storage: TorchStorage, id: StorageId): TorchStorage {
  if (id.window === null) return storage;
  const width = ELEMENT_BYTES[storage.dtype];
  const [offset, length] = id.window;
  if ((offset + length) * width > storage.bytes.length) {
    throw new FormatError(`a window of ${length} elements from ${offset} runs past the storage ${id.key}`);
  }
  return { ...storage, bytes: storage.bytes.subarray(offset * width, (offset + length) * width) };
}

/** Align storages that lie at odd addresses once, so that tensors which share them share the copy. */
function aligned(storage: TorchStorage, budget: Budget): TorchStorage {
  if (storage.bytes.byteOffset % ELEMENT_BYTES[storage.dtype] === 0) return storage;
  spend(budget, storage.bytes.length, `a storage of ${storage.bytes.length} bytes`);
  return { ...storage, bytes: new Uint8Array(storage.bytes) };
}

function readHeader(bytes: Uint8Array): number {
  const magic = readPickle(bytes);
  if (magic.value !== MAGIC) {
    throw new FormatError(
      `it is a pickle of ${
        describeValue(magic.value)
      }, not a file that torch.save wrote; save a state_dict() with torch.save`,
    );
  }
  const protocol = readPickle(bytes, {}, magic.end);
  if (protocol.value !== PROTOCOL) {
    throw new FormatError(`its protocol is ${describeValue(protocol.value)}; ${PROTOCOL} is required`);
  }
  // Byte order and sizes of C's integers: the storages are little-endian with fixed sizes whatever these say.
  return readPickle(bytes, {}, protocol.end).end;
}

/** Read a stream of pickles and storages that `torch.save` wrote. */
export function readLegacyTorch(bytes: Uint8Array, budget: Budget): TorchValue {
  const start = readHeader(bytes);
  const { ids, end } = listStorages(bytes, start);
  const keys = readPickle(bytes, {}, end);
  if (!Array.isArray(keys.value)) throw new FormatError(`its list of storages is ${describeValue(keys.value)}`);
  const storages = readStorages(bytes, keys.end, keys.value, ids);
  for (const [key, storage] of storages) storages.set(key, aligned(storage, budget));
  function find(id: StorageId): TorchStorage {
    const storage = storages.get(id.key);
    if (storage === undefined) throw new FormatError(`the storage ${id.key} is not in the list of storages`);
    return windowOf(storage, id);
  }
  return readPickle<HostOrStorage>(bytes, {
    persistentLoad: (value) => persistent(value, find),
    construct: (name, args) => constructTorch(name, args, budget),
  }, start).value;
}
