/**
 * Reverse-mode differentiation of matrices in float64: losses written as their formulas, with gradients by one rule per
 * operation. A reference: plain loops, nothing shared with the engine.
 *
 * @module
 */

/** A matrix and, once `backward` ran, the gradient of the loss. */
export class Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
  readonly gradient: Float64Array;
  readonly #inputs: readonly Matrix[];
  readonly #propagate: (d: Float64Array) => void;

  constructor(
    rows: number,
    columns: number,
    data: ArrayLike<number>,
    inputs: readonly Matrix[] = [],
    propagate: (d: Float64Array) => void = () => {},
  ) {
    this.rows = rows;
    this.columns = columns;
    this.data = Float64Array.from(data);
    this.gradient = new Float64Array(rows * columns);
    this.#inputs = inputs;
    this.#propagate = propagate;
  }

  static make(rows: number, columns: number, at: (row: number, column: number) => number): Matrix {
    return new Matrix(
      rows,
      columns,
      Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)),
    );
  }

  at(row: number, column: number): number {
    return this.data[row * this.columns + column];
  }

  /** Differentiates this number with respect to all that it depends on. */
  backward(): void {
    const order: Matrix[] = [], seen = new Set<Matrix>();
    const visit = (matrix: Matrix) => {
      if (seen.has(matrix)) return;
      seen.add(matrix);
      matrix.#inputs.forEach(visit);
      order.push(matrix);
    };
    visit(this);
    this.gradient.fill(1);
    for (const matrix of order.reverse()) matrix.#propagate(matrix.gradient);
  }

  /** The same numbers without what they depend on. */
  detach(): Matrix {
    return new Matrix(this.rows, this.columns, this.data);
  }

  /** An element-by-element function with its derivative. */
  map(fn: (x: number) => number, derivative: (x: number) => number): Matrix {
    return new Matrix(this.rows, this.columns, this.data.map(fn), [this], (d) => {
      d.forEach((value, i) => this.gradient[i] += value * derivative(this.data[i]));
    });
  }

  scale(factor: number, shift = 0): Matrix {
    return this.map((x) => factor * x + shift, () => factor);
  }

  square(): Matrix {
    return this.map((x) => x * x, (x) => 2 * x);
  }

  sqrt(): Matrix {
    return this.map(Math.sqrt, (x) => 0.5 / Math.sqrt(x));
  }

  exp(): Matrix {
    return this.map(Math.exp, Math.exp);
  }

  log(): Matrix {
    return this.map(Math.log, (x) => 1 / x);
  }

  relu(): Matrix {
    return this.map((x) => Math.max(0, x), (x) => x > 0 ? 1 : 0);
  }

  /** Element by element with a matrix whose sizes are equal or 1. */
  #with(
    other: Matrix,
    fn: (a: number, b: number) => number,
    derivatives: (a: number, b: number) => [number, number],
  ): Matrix {
    const rows = Math.max(this.rows, other.rows), columns = Math.max(this.columns, other.columns);
    const place = (matrix: Matrix, i: number) =>
      (matrix.rows === 1 ? 0 : Math.floor(i / columns)) * matrix.columns + (matrix.columns === 1 ? 0 : i % columns);
    const data = Array.from(
      { length: rows * columns },
      (_, i) => fn(this.data[place(this, i)], other.data[place(other, i)]),
    );
    return new Matrix(rows, columns, data, [this, other], (d) => {
      d.forEach((value, i) => {
        const a = place(this, i), b = place(other, i);
        const [da, db] = derivatives(this.data[a], other.data[b]);
        this.gradient[a] += value * da;
        other.gradient[b] += value * db;
      });
    });
  }

  plus(other: Matrix): Matrix {
    return this.#with(other, (a, b) => a + b, () => [1, 1]);
  }

  minus(other: Matrix): Matrix {
    return this.#with(other, (a, b) => a - b, () => [1, -1]);
  }

  times(other: Matrix): Matrix {
    return this.#with(other, (a, b) => a * b, (a, b) => [b, a]);
  }

  over(other: Matrix): Matrix {
    return this.#with(other, (a, b) => a / b, (a, b) => [1 / b, -a / (b * b)]);
  }

  transpose(): Matrix {
    const data = Matrix.make(this.columns, this.rows, (row, column) => this.at(column, row)).data;
    return new Matrix(this.columns, this.rows, data, [this], (d) => {
      d.forEach((value, i) => this.gradient[(i % this.rows) * this.columns + Math.floor(i / this.rows)] += value);
    });
  }

  /** The matrix product. */
  product(other: Matrix): Matrix {
    const { rows, columns: inner } = this, { columns } = other;
    const sum = (row: number, column: number) => {
      let total = 0;
      for (let k = 0; k < inner; k++) total += this.at(row, k) * other.at(k, column);
      return total;
    };
    return new Matrix(rows, columns, Matrix.make(rows, columns, sum).data, [this, other], (d) => {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          for (let k = 0; k < inner; k++) {
            this.gradient[row * inner + k] += d[row * columns + column] * other.at(k, column);
            other.gradient[k * columns + column] += d[row * columns + column] * this.at(row, k);
          }
        }
      }
    });
  }

  /** Sums of rows, [rows, 1]. */
  sumRows(): Matrix {
    return this.product(Matrix.make(this.columns, 1, () => 1));
  }

  /** Sums of columns, [1, columns]. */
  sumColumns(): Matrix {
    return Matrix.make(1, this.rows, () => 1).product(this);
  }

  sum(): Matrix {
    return this.sumRows().sumColumns();
  }

  mean(): Matrix {
    return this.sum().scale(1 / this.data.length);
  }

  /** Rows `start` to `end` - 1. */
  slice(start: number, end: number): Matrix {
    const offset = start * this.columns;
    const data = this.data.slice(offset, end * this.columns);
    return new Matrix(end - start, this.columns, data, [this], (d) => {
      d.forEach((value, i) => this.gradient[offset + i] += value);
    });
  }

  /** The rows of this, then those of another. */
  stack(other: Matrix): Matrix {
    const data = [...this.data, ...other.data];
    return new Matrix(this.rows + other.rows, this.columns, data, [this, other], (d) => {
      d.forEach((value, i) => {
        if (i < this.data.length) this.gradient[i] += value;
        else other.gradient[i - this.data.length] += value;
      });
    });
  }

  /** Rows of unit length. */
  normalise(): Matrix {
    return this.over(this.square().sumRows().sqrt());
  }

  /** log softmax of rows. */
  logSoftmax(): Matrix {
    const top = new Matrix(
      this.rows,
      1,
      Array.from(
        { length: this.rows },
        (_, row) => Math.max(...this.data.subarray(row * this.columns, (row + 1) * this.columns)),
      ),
    );
    const shifted = this.minus(top);
    return shifted.minus(shifted.exp().sumRows().log());
  }
}
