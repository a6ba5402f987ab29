// Adds the partial sums of batch_norm_statistics.wgsl in order: d_bias = sum dy, d_weight = sum dy * xhat; `sums` [2, C]
// keeps both for the input gradient.

@group(0) @binding(0) var<storage, read_write> partial: array<Item>;
@group(0) @binding(1) var<storage, read_write> sums: array<Item>;
@group(0) @binding(2) var<storage, read_write> d_weight: array<Item>;
@group(0) @binding(3) var<storage, read_write> d_bias: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let channel = first_item(group, lane);
  if (channel >= C / W) { return; }
  var first = partial[channel];
  var second = partial[C / W + channel];
  for (var chunk = 1u; chunk < CHUNKS; chunk++) {
    first += partial[chunk * (2u * C / W) + channel];
    second += partial[chunk * (2u * C / W) + C / W + channel];
  }
  sums[channel] = first;
  sums[C / W + channel] = second;
#if ACCUMULATE
  d_bias[channel] += first;
  d_weight[channel] += second;
#else
  d_bias[channel] = first;
  d_weight[channel] = second;
#end
}
