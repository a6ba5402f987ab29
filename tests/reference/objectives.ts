/**
 * References of the losses of self-supervised learning, as their papers state them, in float64.
 *
 * @module
 */

import { Matrix } from "./tape.ts";

/**
 * What a loss is computed from, by name, and its constants. Where nothing shall flow back to an operand x in one of its
 * places, `still x` stands there, if it is given.
 */
export type LossTwin = (operands: Readonly<Record<string, Matrix>>, config: Readonly<Record<string, number>>) => Matrix;

/** Khosla et al., arXiv 2004.11362, equation 2, divided by the number of rows. */
const supervisedContrast: LossTwin = ({ z, labels }, { temperature }) => {
  const unit = z.normalise(), others = Matrix.make(z.rows, z.rows, (i, a) => i === a ? 0 : 1);
  const similarities = unit.product(unit.transpose()).scale(1 / temperature);
  const isPositive = Matrix.make(
    z.rows,
    z.rows,
    (i, p) => others.at(i, p) && Number(labels.data[p] === labels.data[i]),
  );
  const denominators = similarities.exp().times(others).sumRows();
  const logProbabilities = similarities.minus(denominators.log());
  return rowProducts(isPositive, logProbabilities).over(isPositive.sumRows()).mean().scale(-1);
};

/** Chen et al., arXiv 2002.05709, equation 1, over all positive pairs (i, j) and (j, i). */
const simclr: LossTwin = ({ z, labels }, { temperature }) => {
  if (labels) return supervisedContrast({ z, labels }, { temperature });
  const unit = z.normalise(), half = z.rows / 2;
  const similarities = unit.product(unit.transpose()).scale(1 / temperature);
  const others = Matrix.make(z.rows, z.rows, (i, k) => i === k ? 0 : 1);
  const positive = Matrix.make(z.rows, z.rows, (i, k) => k === (i + half) % z.rows ? 1 : 0);
  const numerators = similarities.times(positive).sumRows();
  const denominators = similarities.exp().times(others).sumRows();
  return denominators.log().minus(numerators).mean();
};

/** The rows of the other view. */
function swapped(x: Matrix): Matrix {
  const half = x.rows / 2;
  return x.slice(half, x.rows).stack(x.slice(0, half));
}

/** Sums over rows of a matrix of one number a row: the diagonal of a b^T. */
function rowProducts(a: Matrix, b: Matrix): Matrix {
  return a.times(b).sumRows();
}

/** The sum of a term over all pairs of a view and another one that is among the two large views. */
function sumOfPairs(x: Matrix, targets: Matrix, term: (rows: Matrix, target: Matrix) => Matrix): Matrix {
  const batch = targets.rows / 2, terms: Matrix[] = [];
  for (let view = 0; view < x.rows / batch; view++) {
    for (const large of [0, 1]) {
      if (view === large) continue;
      terms.push(
        term(x.slice(view * batch, (view + 1) * batch), targets.slice(large * batch, (large + 1) * batch)),
      );
    }
  }
  return terms.reduce((sum, next) => sum.plus(next));
}

/** Grill et al., arXiv 2006.07733, equation 2, of all pairs. */
const byol: LossTwin = ({ p, t }) =>
  sumOfPairs(p, t.detach(), (rows, target) => rows.normalise().minus(target.normalise()).square().sumRows().mean());

/** Chen and He, arXiv 2011.10566, equation 2. */
const simsiam: LossTwin = ({ p, z }) => rowProducts(p.normalise(), swapped(z).detach().normalise()).mean().scale(-1);

/** Zbontar et al., arXiv 2103.03230, equations 1 and 2, with variances as BatchNorm has them. */
const barlowTwins: LossTwin = ({ z }, { lambda, scale }) => {
  const batch = z.rows / 2;
  const [a, b] = [z.slice(0, batch), z.slice(batch, z.rows)].map((half) => {
    const centred = half.minus(half.sumColumns().scale(1 / batch));
    return centred.over(centred.square().sumColumns().scale(1 / batch, 1e-5).sqrt());
  });
  const correlations = a.transpose().product(b).scale(1 / batch);
  const identity = Matrix.make(z.columns, z.columns, (i, j) => i === j ? 1 : 0);
  const weights = Matrix.make(z.columns, z.columns, (i, j) => i === j ? scale : scale * lambda);
  return correlations.minus(identity).square().times(weights).sum();
};

/** Bardes et al., arXiv 2105.04906, equation 6. */
const vicreg: LossTwin = ({ z }, { invariance, variance, covariance }) => {
  const batch = z.rows / 2, halves = [z.slice(0, batch), z.slice(batch, z.rows)];
  const off = Matrix.make(z.columns, z.columns, (i, j) => i === j ? 0 : 1 / z.columns);
  const terms = halves.map((half) => {
    const centred = half.minus(half.sumColumns().scale(1 / batch));
    const deviations = centred.square().sumColumns().scale(1 / (batch - 1), 1e-4).sqrt();
    const covariances = centred.transpose().product(centred).scale(1 / (batch - 1));
    return deviations.scale(-1, 1).relu().mean().scale(variance).plus(
      covariances.square().times(off).sum().scale(covariance),
    );
  });
  return halves[0].minus(halves[1]).square().mean().scale(invariance).plus(terms[0]).plus(terms[1]);
};

/** He et al., arXiv 1911.05722, equation 1, of both directions. */
const mocov2plus: LossTwin = ({ q, k, queue }, { temperature }) => {
  const unit = q.normalise();
  const own = rowProducts(unit, swapped(k).normalise()).scale(1 / temperature);
  const others = unit.product(queue.transpose()).scale(1 / temperature);
  return own.exp().plus(others.exp().sumRows()).log().minus(own).mean();
};

/** Zheng et al., arXiv 2107.09282, equation 6, of both directions. */
const ressl: LossTwin = ({ q, k, queue }, { temperature, targetTemperature }) => {
  const relations = (x: Matrix, scale: number) =>
    x.normalise().product(queue.transpose()).scale(1 / scale).logSoftmax();
  const wanted = relations(swapped(k), targetTemperature).exp();
  return rowProducts(wanted, relations(q, temperature)).mean().scale(-1);
};

/** The row of the queue that is most similar to each row. */
function nearest(x: Matrix, queue: Matrix): Matrix {
  const similarities = x.product(queue.transpose());
  return Matrix.make(x.rows, x.columns, (row, column) => {
    const values = similarities.data.subarray(row * queue.rows, (row + 1) * queue.rows);
    return queue.at(values.indexOf(Math.max(...values)), column);
  });
}

/** Dwibedi et al., arXiv 2104.14548, equation 3, of both directions. */
const nnclr: LossTwin = ({ p, z, queue }, { temperature }) => {
  const half = p.rows / 2, neighbours = nearest(z, queue), other = swapped(p).normalise();
  const own = Matrix.make(half, half, (i, j) => i === j ? 1 : 0);
  const directions = [0, half].map((start) => {
    const logits = neighbours.slice(start, start + half).product(other.slice(start, start + half).transpose());
    return rowProducts(own, logits.scale(1 / temperature).logSoftmax()).mean();
  });
  return directions[0].plus(directions[1]).scale(-0.5);
};

const nnbyol: LossTwin = ({ p, t, queue }) => byol({ p, t: nearest(t, queue) }, {});
const nnsiam: LossTwin = ({ p, z, queue }) => simsiam({ p, z: nearest(z, queue) }, {});

/** Caron et al., arXiv 2104.14294, equation 3 and section 3.1: the mean over all pairs. */
const dino: LossTwin = ({ s, t, centre, targetTemperature }, { temperature }) => {
  const wanted = t.minus(centre).scale(1 / targetTemperature.data[0]).logSoftmax().exp();
  const pairs = 2 * (s.rows / (t.rows / 2) - 1);
  return sumOfPairs(s, wanted, (rows, target) => rowProducts(target, rows.scale(1 / temperature).logSoftmax()).mean())
    .scale(-1 / pairs);
};

/**
 * Caron et al., arXiv 2006.09882, equations 2 and 5, over all pairs of a large view and another. Where the gate is 1, the
 * rows of the queue, view by view, are assigned with those of the batch.
 */
const swav: LossTwin = (
  { logits, queue, gate, "still logits": still = logits.detach() },
  { temperature, epsilon, iterations, views, large },
) => {
  const batch = logits.rows / views;
  const part = (view: number, of = logits) => of.slice(view * batch, (view + 1) * batch);
  const terms: Matrix[] = [];
  for (let i = 0; i < large; i++) {
    const earlier = gate?.data[0] === 1 ? queue.slice(i * queue.rows / large, (i + 1) * queue.rows / large) : undefined;
    const assigned = earlier === undefined ? part(i, still) : part(i, still).stack(earlier);
    let q = assigned.scale(1 / epsilon).exp();
    for (let round = 0; round < iterations; round++) {
      q = q.over(q.sumColumns());
      q = q.over(q.sumRows());
    }
    q = q.slice(0, batch);
    for (let v = 0; v < views; v++) {
      if (v !== i) terms.push(rowProducts(q, part(v).scale(1 / temperature).logSoftmax()).mean());
    }
  }
  return terms.reduce((sum, term) => sum.plus(term)).scale(-1 / terms.length);
};

/**
 * Rows without their mean and times L^-T, with L L^T = (1 - eps) covariance + eps identity: what is Q of that matrix's
 * square root X = Q R with R = L^T, by Gram and Schmidt.
 */
function whitened(x: Matrix, eps: number): Matrix {
  const scale = Math.sqrt((1 - eps) / (x.rows - 1));
  const identity = Matrix.make(x.columns, x.columns, (i, j) => i === j ? Math.sqrt(eps) : 0);
  const root = x.minus(x.sumColumns().scale(1 / x.rows)).scale(scale).stack(identity).transpose();
  const units: Matrix[] = [];
  for (let i = 0; i < x.columns; i++) {
    let column = root.slice(i, i + 1);
    for (const unit of units) column = column.minus(unit.times(rowProducts(column, unit)));
    units.push(column.normalise());
  }
  return units.reduce((all, next) => all.stack(next)).transpose().slice(0, x.rows).scale(1 / scale);
}

/** Ermolov et al., arXiv 2007.06346, equations 3 to 6, over all pairs of views. */
const wmse: LossTwin = ({ z }, { views, size, eps }) => {
  const slices = Array.from({ length: z.rows / size }, (_, i) => whitened(z.slice(i * size, (i + 1) * size), eps));
  const unit = slices.reduce((all, next) => all.stack(next)).normalise(), batch = z.rows / views;
  const parts = Array.from({ length: views }, (_, v) => unit.slice(v * batch, (v + 1) * batch));
  const distances = parts.flatMap((a, v) => parts.slice(v + 1).map((b) => a.minus(b).square().sumRows().mean()));
  return distances.reduce((sum, distance) => sum.plus(distance)).scale(1 / distances.length);
};

/** The cross-entropy of Caron et al., arXiv 2006.09882, appendix D, of the rows that have a label. */
const deepclusterv2: LossTwin = ({ logits, labels }, { temperature }) => {
  const wanted = Matrix.make(
    logits.rows,
    logits.columns,
    (i, j) => labels.data[i % labels.data.length] === j + 1 ? 1 : 0,
  );
  const labelled = wanted.data.reduce((sum, weight) => sum + weight, 0);
  return logits.scale(1 / temperature).logSoftmax().times(wanted).sum().scale(-1 / labelled);
};

/** By the name of the objective. */
export const LOSS_TWINS: Readonly<Record<string, LossTwin>> = {
  "barlow_twins": barlowTwins,
  byol,
  deepclusterv2,
  dino,
  mocov2plus,
  nnbyol,
  nnclr,
  nnsiam,
  ressl,
  simclr,
  simsiam,
  swav,
  vicreg,
  wmse,
};
