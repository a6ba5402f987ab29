// BACKWARD == 0: output = (input - mean) / sqrt(variance + eps) * weight + bias.
// BACKWARD == 1: d_input = weight / sqrt(variance + eps) * (dy - (sum dy + xhat * sum dy xhat) / ROWS); with FROZEN
// the statistics do not depend on the input and the bracket is dy alone.

@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> mean: array<Item>;
@group(0) @binding(2) var<storage, read_write> variance: array<Item>;
@group(0) @binding(3) var<storage, read_write> weight: array<Item>;
#if BACKWARD
@group(0) @binding(4) var<storage, read_write> sums: array<Item>;
@group(0) @binding(5) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(6) var<storage, read_write> d_input: array<Item>;
#else
@group(0) @binding(4) var<storage, read_write> bias: array<Item>;
@group(0) @binding(5) var<storage, read_write> output: array<Item>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
#for j in 0..ITEMS
  {
    let i = first + $(j * 64)u;
    if (i < COUNT) {
      let channel = i % (C / W);
      let scale = inverseSqrt(variance[channel] + EPS);
#if BACKWARD
#if FROZEN
      let value = weight[channel] * scale * d_output[i];
#else
      let normalised = (input[i] - mean[channel]) * scale;
      let correction = (sums[channel] + normalised * sums[C / W + channel]) * (1.0 / f32(ROWS));
      let value = weight[channel] * scale * (d_output[i] - correction);
#end
#if ACCUMULATE
      d_input[i] += value;
#else
      d_input[i] = value;
#end
#else
      output[i] = (input[i] - mean[channel]) * (scale * weight[channel]) + bias[channel];
#end
    }
  }
#end
}
