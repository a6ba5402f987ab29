/**
 * What a learned Gaussian's numbers are, by the way that it was learned: what its file states, and how a factor of
 * fewer rows is taken from it. Its covariance is (diag(variance) + Q^T Q) / 2 whatever the kind.
 *
 * @module
 */

import { FormatError } from "../errors.ts";

/**
 * - `deviations`: of SWAG's snapshots, the newest; rows in time order
 * - `components`: SWAG's, summarised as orthogonal rows in the order of their size
 * - `random`: SWAG's mean and variance; rows in random directions
 * - `mixture`: the moments of several learned Gaussians; orthogonal rows in the order of their size
 * - `curvature`: the weights themselves and the curvature of the loss there; no rows
 * - `point`: the weights themselves and no variance: nothing was learned of how they vary; no rows
 */
export type SwagKind = "deviations" | "components" | "random" | "mixture" | "curvature" | "point";

/** What the numbers mean: written into each file, and required of it, so that no reader has to guess. */
export type Conventions = Readonly<Record<"mean" | "variance" | "cov_factor" | "covariance" | "prior", string>>;

const SNAPSHOTS = {
  mean: "average of the snapshots",
  variance: "E[theta^2] - mean^2, at least the clamp; not halved, not scaled",
  covariance: "(diag(variance) + cov_factor^T cov_factor) / 2",
  prior: "N(mean, prior_scale * covariance + prior_eps * I)",
};

const CONVENTIONS: Readonly<Record<SwagKind, Conventions>> = {
  deviations: {
    ...SNAPSHOTS,
    cov_factor: "K rows, oldest first: deviations from the running mean over sqrt(K - 1); not halved, not scaled",
  },
  components: {
    ...SNAPSHOTS,
    cov_factor:
      "K orthogonal rows, largest first: cov_factor^T cov_factor approximates the sum of d d^T / (n - 1) over " +
      "n deviations d from the running mean; not halved, not scaled",
  },
  random: {
    ...SNAPSHOTS,
    cov_factor: "K rows sqrt(variance / K) * z, z standard normal; not halved, not scaled",
  },
  mixture: {
    ...SNAPSHOTS,
    mean: "mean of the mixture of several priors",
    variance: "what cov_factor leaves of twice the mixture's variance; not halved, not scaled",
    cov_factor: "K orthogonal rows, largest first: of twice the mixture's covariance; not halved, not scaled",
  },
  curvature: {
    ...SNAPSHOTS,
    mean: "weights of the source network",
    variance: "2 / (N F + tau), F the diagonal of the Fisher information; twice the covariance",
    cov_factor: "none",
  },
  point: {
    ...SNAPSHOTS,
    mean: "weights of the source network",
    variance: "0: all variance is prior_eps",
    cov_factor: "none",
  },
};

/** What a file of a kind states. */
export function conventionsOf(kind: SwagKind = "deviations"): Conventions {
  return CONVENTIONS[kind];
}

/**
 * The kind whose conventions a file states under `convention.<name>`.
 *
 * @throws FormatError where no kind has all of them
 */
export function kindOfConventions(metadata: Readonly<Record<string, string>>): SwagKind {
  const found = (name: string) => metadata[`convention.${name}`];
  const kinds = Object.keys(CONVENTIONS) as SwagKind[];
  const matches = (kind: SwagKind) => Object.entries(CONVENTIONS[kind]).filter(([name, text]) => found(name) === text);
  const kind = kinds.reduce((best, other) => (matches(other).length > matches(best).length ? other : best));
  for (const [name, text] of Object.entries(CONVENTIONS[kind])) {
    if (found(name) === text) continue;
    throw new FormatError(`its convention for the ${name} is ${JSON.stringify(found(name))}; "${text}" is required`);
  }
  return kind;
}

/** The rows to use of a factor where fewer are asked for, and what to multiply them by. */
export interface Truncation {
  readonly rows: readonly Float32Array[];
  readonly factor: number;
}

/**
 * `rank` of K rows. Deviations: the newest, times sqrt((K - 1) / (rank - 1)), as if no more had been kept; a single one
 * has no rank - 1 and stays. Components and mixtures: the largest, as they are: the best approximation of that rank.
 * Random directions: the first, times sqrt(K / rank), so that the expected covariance stays.
 */
export function truncateRows(
  rows: readonly Float32Array[],
  rank: number,
  kind: SwagKind = "deviations",
): Truncation {
  const total = rows.length;
  if (kind === "deviations") {
    const factor = rank < 2 ? 1 : Math.sqrt((total - 1) / (rank - 1));
    return { rows: rows.slice(total - rank), factor };
  }
  const factor = kind === "random" && rank > 0 ? Math.sqrt(total / rank) : 1;
  return { rows: rows.slice(0, rank), factor };
}
