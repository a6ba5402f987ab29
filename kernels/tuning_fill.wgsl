// output[i] = a number in [-0.5, 0.5) that looks random: operands of a product that is timed. Joined behind
// elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> output: array<f32>;

// Bits of `x` mixed by multiplication and shifts.
fn mixed(x: u32) -> u32 {
  let a = (x ^ (x >> 16u)) * 0x7feb352du;
  let b = (a ^ (a >> 15u)) * 0x846ca68bu;
  return b ^ (b >> 16u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    output[i] = f32(mixed(i + mixed(SEED)) >> 8u) / 16777216.0 - 0.5;
  }
}
