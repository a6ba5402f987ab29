// Combines the partial sums of batch_norm_statistics.wgsl in order.
//
// BACKWARD == 0 (Chan, Golub and LeVeque, 1979): batch mean and biased variance; the running statistics move by
// `momentum` towards the mean and the unbiased variance, as PyTorch keeps them.
// BACKWARD == 1: d_bias = sum dy, d_weight = sum dy * xhat; `sums` [2, C] keeps both for the input gradient.

@group(0) @binding(0) var<storage, read_write> partial: array<Item>;
#if BACKWARD
@group(0) @binding(1) var<storage, read_write> sums: array<Item>;
@group(0) @binding(2) var<storage, read_write> d_weight: array<Item>;
@group(0) @binding(3) var<storage, read_write> d_bias: array<Item>;
#else
@group(0) @binding(1) var<storage, read_write> mean: array<Item>;
@group(0) @binding(2) var<storage, read_write> variance: array<Item>;
@group(0) @binding(3) var<storage, read_write> running_mean: array<Item>;
@group(0) @binding(4) var<storage, read_write> running_variance: array<Item>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let channel = first_item(group, lane);
  if (channel >= C / W) { return; }
  var first = partial[channel];
  var second = partial[C / W + channel];
#if BACKWARD
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
#else
  for (var chunk = 1u; chunk < CHUNKS; chunk++) {
    let seen = f32(chunk * CHUNK_ROWS);
    let rows = f32(min(CHUNK_ROWS, ROWS - chunk * CHUNK_ROWS));
    let delta = partial[chunk * (2u * C / W) + channel] - first;
    first += delta * (rows / (seen + rows));
    second += partial[chunk * (2u * C / W) + C / W + channel] + delta * delta * (seen * rows / (seen + rows));
  }
  mean[channel] = first;
  variance[channel] = second / f32(ROWS);
  let momentum = MOMENTUM;
  running_mean[channel] += momentum * (first - running_mean[channel]);
  // One value a channel has no unbiased variance: PyTorch refuses it, and so does the shape rule.
  running_variance[channel] += momentum * (second / f32(ROWS - 1u) - running_variance[channel]);
#end
}
