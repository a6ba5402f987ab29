// Bindings of the kernels that compute a convolution's output or its input gradient, and what they write. Joined behind
// operands.wgsl.
//
// PACK: channels of whose weights an item has its lane's columns.
//
// MOMENTS: what a convolution leaves of its output for the normalisation behind it, mean and M2 (sum of squared
// deviations) of each column over each block of rows, from sums that are shifted by the block's first row, which keeps
// the squares small where the mean is large. moments [BLOCKS, 2, CNT], counts [BLOCKS]: the rows of each block;
// moments.wgsl combines the blocks.

#if PACK == 1
alias WeightItem = Columns;
#else
alias WeightItem = vec4<f32>;
#end
@group(0) @binding(0) var<storage, read_write> source: array<Channels>;
@group(0) @binding(1) var<storage, read_write> weight: array<WeightItem>;
@group(0) @binding(2) var<storage, read_write> output: array<Columns>;
#if BIAS
@group(0) @binding(3) var<storage, read_write> bias: array<Columns>;
#end
#if MOMENTS
@group(0) @binding($(3 + BIAS)) var<storage, read_write> moments: array<Columns>;
@group(0) @binding($(4 + BIAS)) var<storage, read_write> counts: array<f32>;
#end

fn write_output(index: u32, column: u32, sum: Columns) {
#if ACCUMULATE
  output[index] += sum;
#else
#if BIAS
  output[index] = sum + bias[column];
#else
  output[index] = sum;
#end
#end
}

#if MOMENTS
// `total` and `squares`: sums of (x - shift) and of its square over the `rows` rows of the block, without the bias.
fn leave_moments(block: u32, column: u32, rows: f32, shift: Columns, total: Columns, squares: Columns) {
  let at = block * (2 * CNT / NV) + column;
#if BIAS
  moments[at] = shift + total / rows + bias[column];
#else
  moments[at] = shift + total / rows;
#end
  let m2 = squares - total * total / rows;
  // Not max(): NaN must stay visible.
  moments[at + CNT / NV] = select(m2, Columns(0.0), m2 < Columns(0.0));
}
#end
