/**
 * Learned priors as one safetensors file that states every convention.
 *
 * @module
 */

import { readSafetensors, writeSafetensors } from "../checkpoint/safetensors.ts";
import { FormatError } from "../errors.ts";
import { float32Tensor, type HostTensor, sizeOf, type StateDict } from "../tensor.ts";
import { type HalfTensor, halved, type StorageError, unscaled } from "./half.ts";
import { headFacts, headTensors, readHead } from "./head_file.ts";
import { conventionsOf, kindOfConventions } from "./kinds.ts";
import type { ParameterShape } from "./parameter_order.ts";
import { attempt, type PriorFile, requireConsistent, stacked, swagOf } from "./prior_file.ts";
import type { Swag } from "./swag.ts";

const FORMAT = "swagpu-prior";
/** Version of files in single precision, and of those in half precision, whose elements are to be scaled. */
const VERSION = "1", HALF_VERSION = "2";
const MODEL_PREFIX = "model.";

/** The three tensors of a prior. */
type PriorTensors = Readonly<Record<"mean" | "variance" | "cov_factor", HostTensor>>;

function tensorsOf(swag: Swag): PriorTensors {
  const vector = (data: Float32Array) => float32Tensor([data.length], data);
  return { mean: vector(swag.mean), variance: vector(swag.variance), cov_factor: stacked(swag) };
}

/** A prior's file, with its three tensors as they are to be stored. */
function encode(
  { swag, parameters, model, head, metadata }: PriorFile,
  stored: PriorTensors,
  facts: Readonly<Record<string, string>>,
): Uint8Array {
  const tensors: StateDict = new Map([...Object.entries(stored), ...head === undefined ? [] : headTensors(head)]);
  for (const [name, tensor] of model) tensors.set(MODEL_PREFIX + name, tensor);
  return writeSafetensors(tensors, {
    format: FORMAT,
    ...facts,
    architecture: metadata.architecture,
    parameters: JSON.stringify(parameters.map(({ name, shape }) => ({ name, shape }))),
    rank: String(swag.covFactor.length),
    ...Object.fromEntries(Object.entries(conventionsOf(swag.kind)).map(([name, text]) => [`convention.${name}`, text])),
    ...head && headFacts(head),
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
 * weights and statistics beside them, and a head's prior, keep their type. {@linkcode readPrior} reads it. Throws `TypeError` as
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
 * Reads what {@linkcode writePrior} or {@linkcode writeHalfPrior} wrote; `name` stands in errors. Throws `FormatError`
 * where the bytes are damaged, are no prior, follow other conventions, or contradict themselves.
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
    const head = readHead(tensors, metadata);
    return { swag, parameters, model, ...head && { head }, metadata: { architecture, source, sourceSha256, software } };
  });
}
