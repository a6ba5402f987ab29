// weights[k] = a standard normal: the low-rank part of a draw from the prior. Joined behind control.wgsl and
// philox.wgsl.

@group(0) @binding(0) var<storage, read_write> control: Control;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var k = lane; k < ROWS_K; k += 64u) {
    let draws = normal4(vec4<u32>(k / 4u, control.step, control.chain, STREAM), control.key);
    weights[k] = draws[k % 4u];
  }
}
