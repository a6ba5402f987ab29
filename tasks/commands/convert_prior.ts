/**
 * The conversions of learned priors.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import type { RowScaling } from "../../lib/priors/normalisation.ts";
import type { Converted, Flags } from "./convert.ts";
import { architectureOf, encodeOnnx, meanNetwork } from "./onnx_export.ts";
import { encodePrior, normalisationLine, readPriorAt, type StorageErrors } from "./prior_files.ts";

/**
 * Converts a prior into its other form, into half precision, or its mean into an ONNX file.
 *
 * @param path a `.safetensors` file, or the prefix of four `.pt` files
 */
export async function convertPrior(flags: Flags, path: string, extension: string): Promise<Converted> {
  const { out, encoder, priorNormalisation, dtype } = flags;
  let normalisation: RowScaling | undefined;
  const prior = await readPriorAt(path, {
    onNormalisation: (found) => void (normalisation = found),
    architecture: encoder,
    normalised: priorNormalisation === "auto" ? undefined : priorNormalisation === "normalised",
    keepPrefixes: flags.onnx !== undefined,
  });
  const { mean, covFactor } = prior.swag;
  const facts = { format: "learned prior", parameters: mean.length, rank: covFactor.length, normalisation };
  const lines = normalisation === undefined ? [] : [normalisationLine(path, normalisation)];
  if (extension !== "onnx") {
    const { files, errors } = encodePrior(prior, out, dtype);
    return { files, facts: { ...facts, errors }, lines: [...lines, ...errorLines(errors)] };
  }
  if (dtype !== "float32") throw new UsageError(`Cannot use --dtype ${dtype}: ${out} is no .safetensors file`);
  const { architecture } = prior.metadata;
  const stated = await architectureOf(flags, architecture === "" ? undefined : { encoder: architecture });
  return { files: encodeOnnx(meanNetwork(stated, prior, flags), flags, out), facts, lines };
}

/** What rounding did to a prior, for people. */
function errorLines(errors: StorageErrors | undefined): string[] {
  return Object.entries(errors ?? {}).map(([name, { relative, ofLargest }]) =>
    `${name}: largest relative error ${relative.toExponential(1)}; largest error ${
      ofLargest.toExponential(1)
    } of the ` +
    "largest element"
  );
}
