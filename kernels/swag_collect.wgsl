// One SWAG snapshot (Maddox et al., arXiv 1902.02476): running mean and sum of squared deviations (Welford), and the
// deviation from the new mean into one row of the ring. Joined behind elementwise.wgsl.
//
// snapshot = (count before this one, row of the ring; no row where >= ROWS_K). rows [ROWS_K, COUNT].

@group(0) @binding(0) var<storage, read_write> snapshot: array<u32>;
@group(0) @binding(1) var<storage, read_write> theta: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> squares: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let count = f32(snapshot[0]);
  let row = snapshot[1];
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let position = theta[i];
    let center = mean[i];
    let before = position - center;
    let moved = center + before / (count + 1.0);
    let deviation = position - moved;
    mean[i] = moved;
    squares[i] += before * deviation;
    if (row < ROWS_K) { rows[row * COUNT + i] = deviation; }
  }
}
