/**
 * Which way of computing each matrix product was found to be the fastest.
 *
 * @module
 */

/**
 * Names of variants by shape class, as `lib/ops/product.ts` spells both. A product that is not in the table, or
 * whose variant does not exist, is computed in its default way. Bits differ between variants: a run keeps its table.
 */
export type TuningTable = Readonly<Record<string, string>>;
