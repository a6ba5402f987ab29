// Batch mean and biased variance from the moments of BLOCKS blocks of rows; the running statistics move by `momentum`
// towards the mean and the unbiased variance, as PyTorch keeps them.

@group(0) @binding(2) var<storage, read_write> mean: array<Item>;
@group(0) @binding(3) var<storage, read_write> variance: array<Item>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<Item>;
@group(0) @binding(5) var<storage, read_write> running_variance: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let channel = first_item(group, lane);
  if (channel >= C / W) { return; }
  let all = moments_of(0u, BLOCKS, channel);
  mean[channel] = all.average;
  variance[channel] = all.squares / f32(ROWS);
  let momentum = MOMENTUM;
  running_mean[channel] += momentum * (all.average - running_mean[channel]);
  // One value a channel has no unbiased variance: PyTorch refuses it, and so does the shape rule.
  running_variance[channel] += momentum * (all.squares / f32(ROWS - 1u) - running_variance[channel]);
}
