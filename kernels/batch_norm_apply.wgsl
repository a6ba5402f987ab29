// BACKWARD == 0: output = (input - mean) / sqrt(variance + eps) * weight + bias.
// BACKWARD == 1: d_input = weight / sqrt(variance + eps) * (dy - (sum dy + xhat * sum dy xhat) / ROWS); with FROZEN
// the statistics do not depend on the input and the bracket is dy alone.
//
// Both are affine in the tensors: the channel's coefficients are worked out once for all items of an invocation where
// their distance, 64, is a multiple of the channels.

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

#if BACKWARD && !FROZEN
struct Channel { scale: Item, slope: Item, offset: Item }
#else
struct Channel { scale: Item, offset: Item }
#end

fn coefficients(channel: u32) -> Channel {
  let inverse_deviation = inverseSqrt(variance[channel] + EPS);
  let scale = weight[channel] * inverse_deviation;
#if BACKWARD
#if FROZEN
  return Channel(scale, Item(0.0));
#else
  let slope = -scale * inverse_deviation * sums[C / W + channel] * (1.0 / f32(ROWS));
  return Channel(scale, slope, -scale * sums[channel] * (1.0 / f32(ROWS)));
#end
#else
  return Channel(scale, bias[channel]);
#end
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
#if 64 % (C / W) == 0
  let channel = coefficients(first % (C / W));
  let center = mean[first % (C / W)];
#end
#for j in 0..ITEMS
  {
    let i = first + $(j * 64)u;
    if (i < COUNT) {
#if 64 % (C / W) != 0
      let channel = coefficients(i % (C / W));
      let center = mean[i % (C / W)];
#end
#if BACKWARD
#if FROZEN
      let value = channel.scale * d_output[i];
#else
      let value = channel.scale * d_output[i] + channel.slope * (input[i] - center) + channel.offset;
#end
#if ACCUMULATE
      d_input[i] += value;
#else
      d_input[i] = value;
#end
#else
      output[i] = (input[i] - center) * channel.scale + channel.offset;
#end
    }
  }
#end
}
