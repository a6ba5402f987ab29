// Operand types of the matrix-product kernels, in front of which this is joined: NV columns to a lane, AV channels to a
// load. Kernels are unrolled; what they repeat is said here once, so that less is read, and checked, when they are built.

#if NV == 4
alias Columns = vec4<f32>;
alias FourColumns = mat4x4<f32>;
#end
#if NV == 2
alias Columns = vec2<f32>;
alias FourColumns = mat4x2<f32>;
#end
#if NV == 1
alias Columns = f32;
alias FourColumns = vec4<f32>;
#end
#if AV == 4
alias Channels = vec4<f32>;
alias Weights = FourColumns;
#else
alias Channels = f32;
alias Weights = Columns;
#end

/**
 * `sum`, and a lane's columns at four places, each times a number; added one after another. A lane has more sums than a CPU
 * has registers: each is fetched from memory, and put back, once for four terms.
 */
fn plus_four(sum: Columns, columns: FourColumns, factors: vec4<f32>) -> Columns {
  return sum + factors[0] * columns[0] + factors[1] * columns[1] + factors[2] * columns[2] + factors[3] * columns[3];
}

/** A lane's columns, and what the channels of one load add to them by the weights of each. */
fn plus_product(sum: Columns, weights: Weights, channels: Channels) -> Columns {
#if AV == 4
  return plus_four(sum, weights, channels);
#else
  return sum + weights * channels;
#end
}

/** The gradient of AV channels' weights, and what four positions add to it: a lane's columns at each, and the channels. */
fn plus_outer(sums: Weights, columns: FourColumns, a: Channels, b: Channels, c: Channels, d: Channels) -> Weights {
#if AV == 4
  return Weights(
#for u in 0..4
    plus_four(sums[$u], columns, vec4<f32>(a[$u], b[$u], c[$u], d[$u])),
#end
  );
#else
  return plus_four(sums, columns, vec4<f32>(a, b, c, d));
#end
}
