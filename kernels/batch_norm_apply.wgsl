// BACKWARD == 0: output = (input - mean) / sqrt(variance + eps) * weight + bias, plus the residual where RESIDUAL;
// rectified where RELU.
// BACKWARD == 1: d_input = weight / sqrt(variance + eps) * (dy - (sum dy + xhat * sum dy xhat) / ROWS); with FROZEN
// the statistics do not depend on the input and the bracket is dy alone. Where RELU, dy is what passes the rectifier,
// whose input is computed again.
//
// All are affine in the tensors: RUN is a multiple of the channels, so that an invocation works the coefficients of its
// channels out once.

@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> mean: array<Item>;
@group(0) @binding(2) var<storage, read_write> variance: array<Item>;
@group(0) @binding(3) var<storage, read_write> weight: array<Item>;
@group(0) @binding(4) var<storage, read_write> bias: array<Item>;
#if BACKWARD
@group(0) @binding(5) var<storage, read_write> sums: array<Item>;
@group(0) @binding(6) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(7) var<storage, read_write> d_input: array<Item>;
#else
@group(0) @binding(5) var<storage, read_write> output: array<Item>;
#if RESIDUAL
@group(0) @binding(6) var<storage, read_write> residual: array<Item>;
#end
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  let channel = first % (C / W);
  let center = mean[channel];
  let inverse_deviation = inverseSqrt(variance[channel] + EPS);
  let scale = weight[channel] * inverse_deviation;
  let shift = bias[channel];
#if BACKWARD && !FROZEN
  let slope = -scale * inverse_deviation * sums[C / W + channel] * (1.0 / f32(ROWS));
  let offset = -scale * sums[channel] * (1.0 / f32(ROWS));
#end
  for (var i = first; i < end; i += RUN) {
#if BACKWARD
#if RELU || !FROZEN
    let deviation = input[i] - center;
#end
#if RELU
    let dy = select(d_output[i], Item(0.0), deviation * scale + shift <= Item(0.0));
#else
    let dy = d_output[i];
#end
#if FROZEN
    let value = scale * dy;
#else
    let value = scale * dy + slope * deviation + offset;
#end
#if ACCUMULATE
    d_input[i] += value;
#else
    d_input[i] = value;
#end
#else
#if RESIDUAL
    let value = (input[i] - center) * scale + shift + residual[i];
#else
    let value = (input[i] - center) * scale + shift;
#end
#if RELU
    // Not max(): NaN must stay visible.
    output[i] = select(value, Item(0.0), value < Item(0.0));
#else
    output[i] = value;
#end
#end
  }
}
