// Sums of the rows of a matrix [ROWS, COLUMNS] over ranges of CHUNK_ROWS rows: the gradient of a bias.
// partial [CHUNKS, COLUMNS]; COUNT = CHUNKS * COLUMNS / W.

@group(0) @binding(0) var<storage, read_write> matrix: array<Item>;
@group(0) @binding(1) var<storage, read_write> partial: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = first_item(group, lane);
  if (i >= COUNT) { return; }
  let column = i % (COLUMNS / W);
  let first = (i / (COLUMNS / W)) * CHUNK_ROWS;
  var sum = Item(0.0);
  for (var row = first; row < min(first + CHUNK_ROWS, ROWS); row++) {
    sum += matrix[row * (COLUMNS / W) + column];
  }
  partial[i] = sum;
}
