// A draw from a SWAG posterior: mean + scale * (sqrt(variance) xi + sum over k of weights[k] rows[k]), with scale and
// the low-rank weights (standard normals) from the host. Joined behind control.wgsl, philox.wgsl and elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> control: Control;
@group(0) @binding(1) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> variance: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    var draw = sqrt(variance[i]) * normal4(vec4<u32>(BASE + i, control.step, control.chain, STREAM), control.key);
#for k in 0..ROWS_K
    draw += weights[$k] * rows[$(k)u * COUNT + i];
#end
    output[i] = mean[i] + control.noise * draw;
  }
}
