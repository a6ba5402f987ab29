// totals[c] = sum over rows of rows[r, c], in order: COLUMNS sums, one to an invocation, of ROWS rows.

@group(0) @binding(0) var<storage, read_write> rows: array<f32>;
@group(0) @binding(1) var<storage, read_write> totals: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) column: u32) {
  if (column >= COLUMNS) { return; }
  var sum = 0.0;
  for (var row = 0u; row < ROWS; row++) {
    sum += rows[row * COLUMNS + column];
  }
  totals[column] = sum;
}
