// Layer-wise rates (LARS: You et al., arXiv 1708.03888), in three passes over a shard of the flat vector.
//
// chunks [CHUNKS, 3] = (first vec4, number of vec4, tensor): what a workgroup takes. tensors [TENSORS, 3] = (first
// chunk, number of chunks, whether it is adapted). partial [CHUNKS, 2] = sums of theta^2 and of gradient^2.
// PHASE 0: the partial sums. PHASE 1: ratios [TENSORS, 2] = (ratio, weight decay), with
// ratio = TRUST |theta| / (|g| + weight_decay |theta| + EPS), at most the learning rate where CLIP, over which it is then
// divided. PHASE 2: g <- ratio (g + weight_decay theta). Where a norm is 0 or a tensor is not adapted, g stays.
// Joined behind control.wgsl and workgroup_sum.wgsl.

@group(0) @binding(0) var<storage, read_write> step_control: Control;
@group(0) @binding(1) var<storage, read_write> theta: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> chunks: array<u32>;
@group(0) @binding(4) var<storage, read_write> tensors: array<u32>;
@group(0) @binding(5) var<storage, read_write> partial: array<f32>;
@group(0) @binding(6) var<storage, read_write> ratios: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * GRID_X + group.x;
#if PHASE == 1
  if (block >= TENSORS) { return; }
  let start = tensors[3u * block];
  let end = start + tensors[3u * block + 1u];
  var weights = 0.0;
  var slopes = 0.0;
  for (var chunk = start + lane; chunk < end; chunk += 64u) {
    weights += partial[2u * chunk];
    slopes += partial[2u * chunk + 1u];
  }
  let weight_norm = sqrt(workgroup_sum(weights, lane));
  let slope_norm = sqrt(workgroup_sum(slopes, lane));
  let decay = step_control.weight_decay;
  let adapted = tensors[3u * block + 2u] != 0u && weight_norm > 0.0 && slope_norm > 0.0;
  var ratio = TRUST * weight_norm / (slope_norm + decay * weight_norm + EPS);
#if CLIP
  ratio = min(ratio / step_control.learning_rate, 1.0);
#end
  if (lane == 0u) {
    ratios[2u * block] = select(1.0, ratio, adapted);
    ratios[2u * block + 1u] = select(0.0, decay, adapted);
  }
#else
  if (block >= CHUNKS) { return; }
  let start = chunks[3u * block];
  let end = start + chunks[3u * block + 1u];
#if PHASE == 0
  var weights = vec4<f32>(0.0);
  var slopes = vec4<f32>(0.0);
  for (var i = start + lane; i < end; i += 64u) {
    let weight = theta[i];
    let slope = gradient[i];
    weights += weight * weight;
    slopes += slope * slope;
  }
  let weight_sum = workgroup_sum(dot(weights, vec4<f32>(1.0)), lane);
  let slope_sum = workgroup_sum(dot(slopes, vec4<f32>(1.0)), lane);
  if (lane == 0u) {
    partial[2u * block] = weight_sum;
    partial[2u * block + 1u] = slope_sum;
  }
#else
  let tensor = chunks[3u * block + 2u];
  let ratio = ratios[2u * tensor];
  let decay = ratios[2u * tensor + 1u];
  for (var i = start + lane; i < end; i += 64u) { gradient[i] = ratio * (gradient[i] + decay * theta[i]); }
#end
#end
}
