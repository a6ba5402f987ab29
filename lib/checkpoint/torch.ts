/**
 * PyTorch's own files, read without executing anything: `.pt`, `.pth` and `.ckpt` as zip archives, and the older stream
 * of pickles.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { budgetFor } from "./budget.ts";
import { during } from "./context.ts";
import { readLegacyTorch } from "./torch_legacy.ts";
import type { TorchValue } from "./torch_tensor.ts";
import { readZippedTorch } from "./torch_zip.ts";
import { isZip } from "./zip.ts";

export type { HostOrStorage, TorchStorage, TorchValue } from "./torch_tensor.ts";
export { isHostTensor } from "./torch_tensor.ts";
export { writeTorch } from "./torch_writer.ts";

/**
 * Whatever a PyTorch file holds: tensors as dense {@linkcode HostTensor}s, dictionaries as `Map`s in their order, and
 * objects of classes that we do not know as inert {@linkcode PickleRecord}s.
 *
 * A tensor may be a view of `bytes`, and tensors that shared memory in PyTorch may share it here: copy before writing
 * into one. `name` stands in errors. Throws `FormatError` on bytes that are damaged, cut short, hostile or of another
 * format.
 */
export function readTorch(bytes: Uint8Array, name = "the bytes"): TorchValue {
  return during(`Cannot read ${name} as a PyTorch checkpoint`, () => {
    const budget = budgetFor(bytes.length);
    if (isZip(bytes)) return readZippedTorch(bytes, budget);
    if (bytes[0] === 0x80) return readLegacyTorch(bytes, budget);
    throw new FormatError(
      "it begins neither as a zip archive nor as a pickle; a file that torch.save wrote is required",
    );
  });
}
