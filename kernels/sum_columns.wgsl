// sums[c] = sum over rows of partial[r, c], a column to a workgroup, always in the same order.
// partial [ROWS, COLUMNS].

@group(0) @binding(0) var<storage, read_write> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var row = lane; row < ROWS; row += 64u) {
    sum += partial[row * COLUMNS + group.x];
  }
  let total = workgroup_sum(sum, lane);
  if (lane == 0u) { sums[group.x] = total; }
}
