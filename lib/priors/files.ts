/**
 * Learned priors as files: our own, one safetensors file that states every convention, and the original's four
 * `<prefix>_{model,mean,variance,covmat}.pt` (arXiv 2205.10279, section "Released priors").
 *
 * @module
 */

import { readSafetensors, writeSafetensors } from "../checkpoint/safetensors.ts";
import { findStateDict, stripPrefixes } from "../checkpoint/state_dict.ts";
import { isHostTensor, readTorch, writeTorch } from "../checkpoint/torch.ts";
import { FormatError } from "../errors.ts";
import { float32Tensor, type HostTensor, sizeOf, type StateDict } from "../tensor.ts";
import { type HalfTensor, halved, type StorageError, unscaled } from "./half.ts";
import { conventionsOf, kindOfConventions } from "./kinds.ts";
import { covFactorOf, type Normalisation } from "./normalisation.ts";
import { type ParameterShape, parametersOf, requireSameOrder } from "./parameter_order.ts";
import type { Swag } from "./swag.ts";

export type { StorageError } from "./half.ts";
export type { Normalisation } from "./normalisation.ts";
export type { ParameterShape } from "./parameter_order.ts";

/** Where a prior comes from. Empty strings where that is not known: the four files do not say. */
export interface PriorMetadata {
  /** Name of the network, as `--encoder` takes it. */
  readonly architecture: string;
  /** The checkpoint that learning began with. */
  readonly source: string;
  /** SHA-256 of that file, in hexadecimal. */
  readonly sourceSha256: string;
  /** Name and version of the program that learned the prior. */
  readonly software: string;
}

/** A learned prior with all that is needed to use it. */
export interface PriorFile {
  /** Mean, variance and factor, in the order of `parameters`. */
  readonly swag: Swag;
  /** The parameters in PyTorch's order: what the P elements are. No BatchNorm statistics, no head. */
  readonly parameters: readonly ParameterShape[];
  /** The network's state without its head, BatchNorm statistics included, under PyTorch's names. */
  readonly model: StateDict;
  /** Where the prior comes from. */
  readonly metadata: PriorMetadata;
}

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
  /** Name of the network, which the files do not state. */
  readonly architecture?: string;
  /** The prior may overwrite the bytes that it is read from, and keep them: half the memory. Default: a copy. */
  readonly consume?: boolean;
  /** Keep the model's names as they are: for networks whose own names begin with `backbone.` or `encoder.`. */
  readonly keepPrefixes?: boolean;
}

const FORMAT = "swagpu-prior";
/** Version of files in single precision, and of those in half precision, whose elements are to be scaled. */
const VERSION = "1", HALF_VERSION = "2";
const MODEL_PREFIX = "model.";

function requireConsistent({ swag, parameters, model }: PriorFile): void {
  const count = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const lengths = [swag.mean, swag.variance, ...swag.covFactor].map((row) => row.length);
  if (lengths.some((length) => length !== count)) {
    throw new TypeError(
      `Cannot write a prior over ${count} parameters: its mean, variance and rows have ${lengths.join(", ")} elements`,
    );
  }
  const missing = parameters.find(({ name, shape }) => String(model.get(name)?.shape) !== String(shape));
  if (missing !== undefined) {
    throw new TypeError(
      `Cannot write a prior: its model lacks ${missing.name} of shape [${missing.shape}], or has it in another shape`,
    );
  }
}

/** All rows behind each other, [K, P]. */
function stacked({ mean, covFactor }: Swag): HostTensor {
  const data = new Float32Array(covFactor.length * mean.length);
  covFactor.forEach((row, k) => data.set(row, k * mean.length));
  return float32Tensor([covFactor.length, mean.length], data);
}

/** The three tensors of a prior. */
type PriorTensors = Readonly<Record<"mean" | "variance" | "cov_factor", HostTensor>>;

function tensorsOf(swag: Swag): PriorTensors {
  const vector = (data: Float32Array) => float32Tensor([data.length], data);
  return { mean: vector(swag.mean), variance: vector(swag.variance), cov_factor: stacked(swag) };
}

/** A prior's file, with its three tensors as they are to be stored. */
function encode(
  { swag, parameters, model, metadata }: PriorFile,
  stored: PriorTensors,
  facts: Readonly<Record<string, string>>,
): Uint8Array {
  const tensors: StateDict = new Map(Object.entries(stored));
  for (const [name, tensor] of model) tensors.set(MODEL_PREFIX + name, tensor);
  return writeSafetensors(tensors, {
    format: FORMAT,
    ...facts,
    architecture: metadata.architecture,
    parameters: JSON.stringify(parameters.map(({ name, shape }) => ({ name, shape }))),
    rank: String(swag.covFactor.length),
    ...Object.fromEntries(Object.entries(conventionsOf(swag.kind)).map(([name, text]) => [`convention.${name}`, text])),
    source: metadata.source,
    source_sha256: metadata.sourceSha256,
    software: metadata.software,
  });
}

/** A prior as one safetensors file. Throws `TypeError` where its lengths and shapes contradict each other. */
export function writePrior(prior: PriorFile): Uint8Array {
  requireConsistent(prior);
  return encode(prior, tensorsOf(prior.swag), { format_version: VERSION });
}

/** A prior in half precision, and what rounding did to it. */
export interface HalfPrior {
  /** The safetensors file. */
  readonly bytes: Uint8Array;
  /** By tensor: `mean`, `variance`, `cov_factor`. The file's metadata state them as well. */
  readonly errors: Readonly<Record<string, StorageError>>;
}

/**
 * A prior as one safetensors file with mean, variance and rows in half precision: half the size. The network's own
 * weights and statistics beside them keep their type. {@linkcode readPrior} reads it. Throws `TypeError` as
 * {@linkcode writePrior}.
 */
export function writeHalfPrior(prior: PriorFile): HalfPrior {
  requireConsistent(prior);
  const parts = Object.entries(tensorsOf(prior.swag)).map(([name, { shape, data }]) =>
    [name, halved(shape, data as Float32Array, name === "variance")] as const
  );
  const collect = <T>(pick: (half: HalfTensor) => T) =>
    Object.fromEntries(parts.map(([name, half]) => [name, pick(half)]));
  const errors = collect(({ error }) => error);
  const bytes = encode(prior, collect(({ tensor }) => tensor) as PriorTensors, {
    format_version: HALF_VERSION,
    storage: "float16: elements are to be multiplied by storage.scale",
    "storage.scale": JSON.stringify(collect(({ scale }) => scale)),
    "storage.error": JSON.stringify(errors),
  });
  return { bytes, errors };
}

/** Index of the first element that is not finite, or -1. A loop: a call for each of 10^8 elements takes seconds. */
function firstNotFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

/** The tensor as float32 of that many axes; half and double precision are converted. */
function floats(tensor: HostTensor | undefined, what: string, axes: number): { shape: number[]; data: Float32Array } {
  if (tensor === undefined || !tensor.dtype.includes("float") || tensor.shape.length !== axes) {
    const found = tensor === undefined ? "no such tensor" : `a ${tensor.dtype} tensor of shape [${tensor.shape}]`;
    throw new FormatError(`${what} is ${found}; floats of ${axes} ${axes === 1 ? "axis" : "axes"} are required`);
  }
  const data = tensor.data instanceof Float32Array ? tensor.data : new Float32Array(tensor.data as Float64Array);
  const bad = firstNotFinite(data);
  if (bad >= 0) throw new FormatError(`element ${bad} of ${what} is ${data[bad]}; finite numbers are required`);
  return { shape: [...tensor.shape], data };
}

/** Mean, variance and rows, checked against each other. */
function swagOf(mean?: HostTensor, variance?: HostTensor, factor?: HostTensor): Swag {
  const center = floats(mean, "the mean", 1).data, squares = floats(variance, "the variance", 1).data;
  const { shape: [rank, columns], data } = floats(factor, "the covariance factor", 2);
  if (squares.length !== center.length || (columns !== center.length && rank > 0)) {
    throw new FormatError(
      `the mean has ${center.length} elements, the variance ${squares.length} and a row of the covariance factor ` +
        `${columns}; equal numbers are required`,
    );
  }
  const negative = squares.findIndex((value) => value < 0);
  if (negative >= 0) {
    throw new FormatError(`element ${negative} of the variance is ${squares[negative]}; none may be negative`);
  }
  const rows = Array.from({ length: rank }, (_, k) => data.subarray(k * columns, (k + 1) * columns));
  return { mean: center, variance: squares, covFactor: rows };
}

function attempt<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) throw new FormatError(`Cannot read ${what}: ${error.message}`, { cause: error });
    throw error;
  }
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

function parameterList(text: string | undefined): ParameterShape[] {
  const found = jsonOf(text);
  const valid = Array.isArray(found) &&
    found.every((entry) =>
      typeof entry?.name === "string" && Array.isArray(entry.shape) &&
      entry.shape.every((size: unknown) => Number.isSafeInteger(size) && (size as number) >= 0)
    );
  if (!valid) throw new FormatError("its list of parameters is no JSON list of names and shapes");
  return (found as ParameterShape[]).map(({ name, shape }) => ({ name, shape }));
}

function requireMetadata(metadata: Readonly<Record<string, string>>): void {
  if (metadata.format !== FORMAT) {
    throw new FormatError(`its format is ${JSON.stringify(metadata.format ?? "not stated")}; ${FORMAT} is required`);
  }
  if (metadata.format_version !== VERSION && metadata.format_version !== HALF_VERSION) {
    throw new FormatError(
      `it has version ${metadata.format_version}; ${VERSION} and ${HALF_VERSION} are those that can be read`,
    );
  }
}

/** The mean, the variance and the rows of a file in either precision. */
function storedSwag(tensors: StateDict, metadata: Readonly<Record<string, string>>): Swag {
  const names = ["mean", "variance", "cov_factor"] as const;
  if (metadata.format_version === VERSION) return swagOf(...names.map((name) => tensors.get(name)));
  const scales = jsonOf(metadata["storage.scale"]) as Record<string, unknown> | undefined;
  return swagOf(...names.map((name) => {
    const tensor = tensors.get(name);
    return tensor?.dtype === "float16" ? unscaled(tensor, scales?.[name], name) : undefined;
  }));
}

/**
 * Reads what {@linkcode writePrior} or {@linkcode writeHalfPrior} wrote; `name` stands in errors. Throws `FormatError` where the bytes are damaged,
 * are no prior, follow other conventions, or contradict themselves.
 */
export function readPrior(bytes: Uint8Array, name = "the bytes"): PriorFile {
  return attempt(`${name} as a prior`, () => {
    const { tensors, metadata } = readSafetensors(bytes, name);
    requireMetadata(metadata);
    const kind = kindOfConventions(metadata);
    const numbers = storedSwag(tensors, metadata);
    const swag: Swag = kind === "deviations" ? numbers : { ...numbers, kind };
    const parameters = parameterList(metadata.parameters);
    const count = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    if (count !== swag.mean.length || metadata.rank !== String(swag.covFactor.length)) {
      throw new FormatError(
        `it states ${count} parameters and rank ${metadata.rank}, but holds ${swag.mean.length} and ` +
          swag.covFactor.length,
      );
    }
    const model: StateDict = new Map(
      [...tensors].filter(([key]) => key.startsWith(MODEL_PREFIX)).map((
        [key, tensor],
      ) => [key.slice(MODEL_PREFIX.length), tensor]),
    );
    const missing = parameters.find(({ name, shape }) => String(model.get(name)?.shape) !== String(shape));
    if (missing !== undefined) {
      throw new FormatError(`its model lacks ${missing.name} of shape [${missing.shape}], or has it in another shape`);
    }
    const { architecture = "", source = "", source_sha256: sourceSha256 = "", software = "" } = metadata;
    return { swag, parameters, model, metadata: { architecture, source, sourceSha256, software } };
  });
}

/**
 * A prior as the original's four files, which `torch.load` opens: a state dictionary, [P], [P] and [K, P] in the order
 * of the network's `parameters()`. The rows are deviations over sqrt(K - 1). Throws `TypeError` as
 * {@linkcode writePrior}, and where the prior is of another kind.
 */
export function writePriorParts(prior: PriorFile): PriorParts {
  requireConsistent(prior);
  const { swag, parameters, model } = prior;
  if ((swag.kind ?? "deviations") !== "deviations") {
    throw new TypeError(
      `Cannot write a prior of ${swag.kind} as four files: they mean deviations and cannot say otherwise; ` +
        "one safetensors file is required",
    );
  }
  const order = parametersOf(model);
  if (order.map(({ name }) => name).join() !== parameters.map(({ name }) => name).join()) {
    throw new TypeError("Cannot write a prior as four files: its model must list the parameters in the prior's order");
  }
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
    const normalisation: Normalisation | undefined = options.normalised === undefined
      ? undefined
      : options.normalised
      ? "normalised"
      : "raw";
    const swag = { ...raw, covFactor: covFactorOf(raw, normalisation, options.consume) };
    const metadata = { architecture: options.architecture ?? "", source: "", sourceSha256: "", software: "" };
    return { swag, parameters, model, metadata };
  });
}
