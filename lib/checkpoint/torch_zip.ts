/**
 * PyTorch's zip format (since 1.6): `<root>/data.pkl`, one `<root>/data/<key>` for each storage, and
 * `<root>/byteorder`.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { type Budget, spend } from "./budget.ts";
import { during } from "./context.ts";
import { ELEMENT_BYTES, swapBytes } from "./elements.ts";
import { readPickle } from "./pickle.ts";
import { constructTorch, readStorageId, type StorageId, type TorchStorage, type TorchValue } from "./torch_tensor.ts";
import { readEntry, readZip, type ZipArchive, type ZipEntry } from "./zip.ts";

const PICKLE = "/data.pkl";
const MAX_PICKLE_BYTES = 256 * 2 ** 20;

function findRoot(archive: ZipArchive): string {
  const names = [...archive.entries.keys()];
  const pickle = names.find((name) => name.endsWith(PICKLE) && name.indexOf("/") === name.length - PICKLE.length);
  if (pickle === undefined) {
    const kind = names.length > 0 && names.every((name) => name.endsWith(".npy")) ? " of NumPy arrays" : "";
    throw new FormatError(`it is a zip archive${kind} of ${names.length} entries without <name>${PICKLE}`);
  }
  const root = pickle.slice(0, -PICKLE.length);
  if (archive.entries.has(`${root}/constants.pkl`)) {
    throw new FormatError("it is a TorchScript archive; save the module's state_dict() with torch.save instead");
  }
  return root;
}

function readByteOrder(archive: ZipArchive, root: string): string {
  const entry = archive.entries.get(`${root}/byteorder`);
  if (entry === undefined) return "little";
  const order = entry.size <= 16 ? new TextDecoder().decode(readEntry(archive, entry)).trim() : "";
  if (order !== "little" && order !== "big") {
    throw new FormatError(`its byte order is "${order}"; "little" or "big" is required`);
  }
  return order;
}

function storageEntry(archive: ZipArchive, root: string, id: StorageId): ZipEntry {
  const entry = archive.entries.get(`${root}/data/${id.key}`);
  const expected = id.length * ELEMENT_BYTES[id.dtype];
  // Checked before anything is inflated: the two statements of the size must agree.
  if (entry === undefined || entry.size !== expected) {
    throw new FormatError(
      `the storage ${id.key} of ${expected} bytes ` +
        (entry === undefined ? "is not in the archive" : `has ${entry.size} bytes in the archive`),
    );
  }
  return entry;
}

/** Read a zip archive that `torch.save` wrote. */
export function readZippedTorch(bytes: Uint8Array, budget: Budget): TorchValue {
  const archive = { ...readZip(bytes), budget };
  const root = findRoot(archive);
  const bigEndian = readByteOrder(archive, root) === "big";
  const storages = new Map<string, TorchStorage>();

  function load(id: StorageId): TorchStorage {
    const entry = storageEntry(archive, root, id);
    let contents = readEntry(archive, entry);
    if (bigEndian) {
      spend(budget, contents.length, `the storage ${id.key}`);
      contents = swapBytes(contents, ELEMENT_BYTES[id.dtype]);
    }
    return { kind: "storage", dtype: id.dtype, bytes: contents };
  }

  function persistentLoad(value: TorchValue): TorchValue {
    const id = readStorageId(value);
    const key = `${id.dtype} ${id.length} ${id.key}`;
    const storage = storages.get(key) ?? load(id);
    storages.set(key, storage);
    return storage;
  }

  const entry = archive.entries.get(root + PICKLE)!;
  if (entry.size > MAX_PICKLE_BYTES) throw new FormatError(`its ${entry.name} states ${entry.size} bytes, too many`);
  const pickle = readEntry(archive, entry);
  return during(`in ${entry.name}`, () =>
    readPickle(pickle, {
      persistentLoad,
      construct: (name, args) => constructTorch(name, args, budget),
    }).value);
}
