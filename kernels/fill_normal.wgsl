// output = noise * xi: initial velocities. Joined behind control.wgsl, philox.wgsl and elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> control: Control;
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    output[i] = control.noise * normal4(vec4<u32>(BASE + i, control.step, control.chain, STREAM), control.key);
  }
}
