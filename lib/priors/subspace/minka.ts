/**
 * How many principal components are signal: Minka's evidence ("Automatic choice of dimensionality for PCA", NIPS 2000),
 * the number that scikit-learn's `PCA(n_components="mle")` gives.
 *
 * @module
 */

/** Eigenvalues below this share of the largest are taken for zero. */
const ZERO = 1e-12;

/**
 * The rank of largest evidence, 1 to n - 1 for n eigenvalues (1 for one): the data are `samples` draws of n values, of
 * covariance W W^T + v I with W of that rank. The evidence is Laplace's approximation, Minka's equation 30. It does not
 * depend on the eigenvalues' scale.
 *
 * @param spectrum eigenvalues of the covariance of the n values, largest first
 * @param samples number of draws; many more than n
 */
export function minkaRank(spectrum: Float64Array, samples: number): number {
  let best = Math.min(1, spectrum.length), most = -Infinity;
  for (let rank = 1; rank < spectrum.length; rank++) {
    const evidence = logEvidence(spectrum, rank, samples);
    if (evidence > most) [best, most] = [rank, evidence];
  }
  return best;
}

/** log p(data | rank) but for what all ranks share; -Infinity where the rank splits equal eigenvalues or counts a zero. */
export function logEvidence(spectrum: Float64Array, rank: number, samples: number): number {
  const n = spectrum.length, scale = spectrum[0];
  const values = spectrum.map((value) => value / scale);
  if (values[rank - 1] < ZERO) return -Infinity;
  const noise = Math.max(ZERO, values.subarray(rank).reduce((sum, value) => sum + value, 0) / (n - rank));
  let log = -rank * Math.LN2;
  for (let i = 1; i <= rank; i++) log += logGammaHalf(n - i + 1) - (n - i + 1) / 2 * Math.log(Math.PI);
  for (let i = 0; i < rank; i++) log -= samples / 2 * Math.log(values[i]);
  log -= samples * (n - rank) / 2 * Math.log(noise);
  const freedom = n * rank - rank * (rank + 1) / 2;
  log += (freedom + rank) / 2 * Math.log(2 * Math.PI);
  for (let i = 0; i < rank; i++) {
    for (let j = i + 1; j < n; j++) {
      const curvature = (values[i] - values[j]) * (1 / (j < rank ? values[j] : noise) - 1 / values[i]);
      if (!(curvature > 0)) return -Infinity;
      log -= (Math.log(curvature) + Math.log(samples)) / 2;
    }
  }
  return log - rank / 2 * Math.log(samples);
}

/** ln Gamma(m / 2) of a whole m of at least 1, by the recurrence from Gamma(1/2) and Gamma(1). */
function logGammaHalf(m: number): number {
  let log = m % 2 === 1 ? Math.log(Math.PI) / 2 : 0;
  for (let x = m % 2 === 1 ? 0.5 : 1; x < m / 2; x++) log += Math.log(x);
  return log;
}
