// Clipping by the global norm. SCALE == 0: partial sums of the squares of a segment of a gradient, a workgroup each.
// SCALE == 1: the segment times min(1, CLIP_NORM / sqrt(total)). Joined behind workgroup_sum.wgsl and elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> gradient: array<vec4<f32>>;
// SCALE == 0: partial sums; SCALE == 1: their total.
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
#if SCALE
  let scale = min(1.0, CLIP_NORM / sqrt(sums[0]));
  for (var i = first; i < end; i += RUN) { gradient[i] *= scale; }
#else
  var sum = vec4<f32>(0.0);
  for (var i = first; i < end; i += RUN) { sum += gradient[i] * gradient[i]; }
  let total = workgroup_sum(dot(sum, vec4<f32>(1.0)), lane);
  let block = group.y * GRID_X + group.x;
  if (lane == 0u && block < BLOCKS) { sums[FIRST_BLOCK + block] = total; }
#end
}
