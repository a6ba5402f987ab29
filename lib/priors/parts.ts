/**
 * The original's four files of a learned prior, `<prefix>_{model,mean,variance,covmat}.pt` (arXiv 2205.10279, section
 * "Released priors").
 *
 * @module
 */

import { findStateDict, stripPrefixes } from "../checkpoint/state_dict.ts";
import { isHostTensor, readTorch, writeTorch } from "../checkpoint/torch.ts";
import { FormatError } from "../errors.ts";
import { float32Tensor, type HostTensor } from "../tensor.ts";
import { covFactorOf, detectNormalisation, type RowScaling } from "./normalisation.ts";
import { parametersOf, requirePartsNames, requireSameOrder } from "./parameter_order.ts";
import { attempt, type PriorFile, requireConsistent, stacked, swagOf } from "./prior_file.ts";
import type { Swag } from "./swag.ts";

/** The original's four files. */
export interface PriorParts {
  /** `_model.pt`: state dictionary of the network without its head. */
  readonly model: Uint8Array;
  /** `_mean.pt`: [P]. */
  readonly mean: Uint8Array;
  /** `_variance.pt`: [P], the diagonal part. */
  readonly variance: Uint8Array;
  /** `_covmat.pt`: [K, P], one deviation a row. */
  readonly covmat: Uint8Array;
}

/** What the four files do not say. */
export interface PriorPartsOptions {
  /**
   * Whether the rows of the covmat are deviations over sqrt(K - 1) (true) or plain deviations (false). Default: found
   * from the numbers, and refused where they leave it open.
   */
  readonly normalised?: boolean;
  /** Receives what was found where `normalised` does not say it. */
  onNormalisation?(found: RowScaling): void;
  /** Name of the network, which the files do not state. */
  readonly architecture?: string;
  /** The prior may overwrite the bytes that it is read from, and keep them: half the memory. Default: a copy. */
  readonly consume?: boolean;
  /** Keep the model's names as they are: for networks whose own names begin with `backbone.` or `encoder.`. */
  readonly keepPrefixes?: boolean;
}

/**
 * A prior as the original's four files, which `torch.load` opens: a state dictionary, [P], [P] and [K, P] in the order
 * of the network's `parameters()`. The rows are deviations over sqrt(K - 1). Throws `TypeError` as
 * `writePrior`, and where the prior is of another kind.
 */
export function writePriorParts(prior: PriorFile): PriorParts {
  requireConsistent(prior);
  const { swag, parameters, model, head } = prior;
  if (head !== undefined) {
    throw new TypeError(
      "Cannot write a prior of backbone and head as four files: they have no place for the head's; one safetensors " +
        "file is required",
    );
  }
  if ((swag.kind ?? "deviations") !== "deviations") {
    throw new TypeError(
      `Cannot write a prior of ${swag.kind} as four files: they mean deviations and cannot say otherwise; ` +
        "one safetensors file is required",
    );
  }
  requirePartsNames([...model.keys()], parameters.map(({ name }) => name));
  const vector = (data: Float32Array) => writeTorch(float32Tensor([data.length], data));
  return {
    model: writeTorch(model),
    mean: vector(swag.mean),
    variance: vector(swag.variance),
    covmat: writeTorch(stacked(swag)),
  };
}

function readTensor(bytes: Uint8Array, name: string): HostTensor {
  const value = readTorch(bytes, name);
  if (!isHostTensor(value)) throw new FormatError(`${name} holds something else than one tensor`);
  return value;
}

function normalisationOf(raw: Swag, { normalised, onNormalisation }: PriorPartsOptions): RowScaling {
  if (normalised !== undefined) return normalised ? "normalised" : "raw";
  const found = detectNormalisation(raw);
  onNormalisation?.(found);
  return found;
}

/**
 * Reads the original's four files. The parameters' order is that of the model's state dictionary (PyTorch's), and the
 * mean must agree with it. Whether the rows are normalised is found from the numbers where `normalised` does not say
 * it.
 *
 * Throws `FormatError` where bytes are damaged, sizes or order disagree, or the normalisation cannot be told; the
 * message then names `--prior-normalisation`.
 */
export function readPriorParts(parts: PriorParts, options: PriorPartsOptions = {}): PriorFile {
  return attempt("the four files of a prior", () => {
    const raw = swagOf(
      readTensor(parts.mean, "_mean.pt"),
      readTensor(parts.variance, "_variance.pt"),
      readTensor(parts.covmat, "_covmat.pt"),
    );
    const found = findStateDict(readTorch(parts.model, "_model.pt"));
    const model = options.keepPrefixes === true ? found : stripPrefixes(found);
    const parameters = parametersOf(model);
    requireSameOrder(parameters, model, raw.mean);
    const normalisation = normalisationOf(raw, options);
    const swag = { ...raw, covFactor: covFactorOf(raw, normalisation, options.consume) };
    const metadata = { architecture: options.architecture ?? "", source: "", sourceSha256: "", software: "" };
    return { swag, parameters, model, metadata };
  });
}
