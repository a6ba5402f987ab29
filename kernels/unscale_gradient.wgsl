// A segment of a gradient divided by the loss scale, and how many of its numbers are not finite: partial sums, a workgroup
// each. Joined behind workgroup_sum.wgsl and elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> loss_scale: array<f32>;
@group(0) @binding(1) var<storage, read_write> gradient: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> not_finite: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  // A power of two: exact.
  let inverse = 1.0 / loss_scale[0];
  var count = vec4<f32>(0.0);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let value = gradient[i];
    // By its bits: compilers may assume that nothing is infinite or NaN.
    let exponent = bitcast<vec4<u32>>(value) & vec4<u32>(0x7f800000u);
    count += select(vec4<f32>(0.0), vec4<f32>(1.0), exponent == vec4<u32>(0x7f800000u));
    gradient[i] = value * inverse;
  }
  let total = workgroup_sum(dot(count, vec4<f32>(1.0)), lane);
  let block = group.y * GRID_X + group.x;
  if (lane == 0u && block < BLOCKS) { not_finite[FIRST_BLOCK + block] = total; }
}
