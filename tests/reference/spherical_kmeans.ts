/**
 * Reference of k-means on the sphere.
 *
 * @module
 */

/** Rows of a matrix. */
export type Rows = readonly (readonly number[])[];

const product = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);

/**
 * Clusters of unit rows, from first prototypes on: each row goes to the prototype with the largest product, the first of
 * equal ones; each prototype becomes the sum of its rows, of unit length, and stays where it has none.
 *
 * @returns the prototypes and each row's cluster, from 0 on
 */
export function sphericalKMeans(rows: Rows, first: Rows, iterations: number): { prototypes: Rows; clusters: number[] } {
  const assign = (prototypes: Rows) =>
    rows.map((row) => {
      const products = prototypes.map((prototype) => product(row, prototype));
      return products.indexOf(Math.max(...products));
    });
  let prototypes = first;
  for (let iteration = 0; iteration < iterations; iteration++) {
    const clusters = assign(prototypes);
    prototypes = prototypes.map((prototype, cluster) => {
      const members = rows.filter((_, row) => clusters[row] === cluster);
      const sum = prototype.map((_, i) => members.reduce((total, row) => total + row[i], 0));
      return members.length === 0 ? prototype : sum.map((x) => x / Math.sqrt(product(sum, sum)));
    });
  }
  return { prototypes, clusters: assign(prototypes) };
}
