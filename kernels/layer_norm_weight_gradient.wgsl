// Gradient of layer normalisation's weight: the sum of d_output * (x - mean) * rstd over ranges of CHUNK_ROWS rows.
// statistics [ROWS, 2] = (mean, rstd); partial [CHUNKS, COLUMNS]; COUNT = CHUNKS * COLUMNS / W.

@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> statistics: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(3) var<storage, read_write> partial: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = first_item(group, lane);
  if (i >= COUNT) { return; }
  let column = i % (COLUMNS / W);
  let first = (i / (COLUMNS / W)) * CHUNK_ROWS;
  var sum = Item(0.0);
  for (var row = first; row < min(first + CHUNK_ROWS, ROWS); row++) {
    let at = row * (COLUMNS / W) + column;
    sum += d_output[at] * (input[at] - statistics[row].x) * statistics[row].y;
  }
  partial[i] = sum;
}
