// The prototypes of ROWS clusters, from number `first` on: the sum of its rows, of unit length; that of a cluster without
// rows stays. A cluster to a workgroup. rows [MEMBERS, LENGTH] and prototypes [ROWS, LENGTH], of parts; labels [MEMBERS],
// from 1 on. Joined behind lanes.wgsl.

@group(0) @binding(0) var<storage, read_write> rows: array<Part>;
@group(0) @binding(1) var<storage, read_write> labels: array<f32>;
@group(0) @binding(2) var<storage, read_write> prototypes: array<Part>;
@group(0) @binding(3) var<storage, read_write> first: u32;

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let cluster = group.y * GRID_X + group.x;
  if (cluster >= ROWS) { return; }
  let label = f32(first + cluster + 1u);
  var count = 0u;
  var squares = Part(0.0);
  for (var k = lane; k < LENGTH; k += S) {
    var sum = Part(0.0);
    count = 0u;
    for (var row = 0u; row < MEMBERS; row++) {
      if (labels[row] == label) {
        sum += rows[row * LENGTH + k];
        count += 1u;
      }
    }
    if (count > 0u) { prototypes[cluster * LENGTH + k] = sum; }
    squares += sum * sum;
  }
  let norm = sqrt(sum_over_lanes(squares, lane));
  for (var k = lane; k < LENGTH; k += S) {
    if (count > 0u) { prototypes[cluster * LENGTH + k] /= max(norm, EPS); }
  }
}
