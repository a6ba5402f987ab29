/**
 * What a file's `metadata_props` say of how its images are normalised.
 *
 * @module
 */

import { FormatError } from "../errors.ts";

/** Mean and deviation of each channel of images of range 0 to 1. */
export interface ImageNormalisation {
  /** Subtracted. */
  readonly mean: readonly number[];
  /** Divided by. */
  readonly std: readonly number[];
}

/** Who normalises. */
const BY_NETWORK = "done by the network", BY_CALLER = "required of the input";

/** The facts of a file whose images are normalised by the network itself, or before it. */
export function normalisationFacts({ mean, std }: ImageNormalisation, byNetwork: boolean): Record<string, string> {
  return {
    image_range: "0 to 1",
    image_mean: mean.join(","),
    image_std: std.join(","),
    image_normalisation: byNetwork ? BY_NETWORK : BY_CALLER,
  };
}

/**
 * By what the network itself normalises images of range 0 to 1, if its file says so.
 *
 * @throws FormatError where the file says so without stating three means and three deviations
 */
export function ownNormalisation(facts: ReadonlyMap<string, string>): ImageNormalisation | undefined {
  if (facts.get("image_normalisation") !== BY_NETWORK) return undefined;
  const [mean, std] = ["image_mean", "image_std"].map((key) => {
    const text = facts.get(key) ?? "", values = text.split(",").map(Number);
    if (values.length === 3 && values.every(Number.isFinite)) return values;
    throw new FormatError(
      `its metadata say that it normalises its images itself, but ${key} is ${
        JSON.stringify(text)
      }; three numbers are ` +
        "required",
    );
  });
  return { mean, std };
}
