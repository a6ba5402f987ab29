// The inverse of the lower Cholesky factor of each of MATRICES symmetric positive definite matrices [SIZE, SIZE], a matrix
// to a workgroup: input = factor factor^T, output = factor^-1. Of the input, what is above the diagonal is not read; of the
// factor, it is not written. MIRROR: output = -1/2 the input with its lower triangle in place of the upper one, COUNT items.

@group(0) @binding(0) var<storage, read_write> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

#if MIRROR
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let matrix = i / (SIZE * SIZE);
    let row = (i / SIZE) % SIZE;
    let column = i % SIZE;
    output[i] = -0.5 * input[(matrix * SIZE + max(row, column)) * SIZE + min(row, column)];
  }
}
#else
@group(0) @binding(2) var<storage, read_write> factor: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let matrix = group.y * GRID_X + group.x;
  if (matrix >= MATRICES) { return; }
  let first = matrix * SIZE * SIZE;
  for (var column = 0u; column < SIZE; column++) {
    let pivot_row = first + column * SIZE;
    for (var row = column + lane; row < SIZE; row += 64u) {
      let start = first + row * SIZE;
      var sum = input[start + column];
      for (var k = 0u; k < column; k++) { sum -= factor[start + k] * factor[pivot_row + k]; }
      factor[start + column] = sum;
    }
    storageBarrier();
    let root = sqrt(factor[pivot_row + column]);
    // Every lane has the pivot before one of them divides it.
    storageBarrier();
    for (var row = column + lane; row < SIZE; row += 64u) { factor[first + row * SIZE + column] /= root; }
    storageBarrier();
  }
  // Forward substitution; a lane has columns of its own.
  for (var column = lane; column < SIZE; column += 64u) {
    for (var row = 0u; row < column; row++) { output[first + row * SIZE + column] = 0.0; }
    for (var row = column; row < SIZE; row++) {
      let start = first + row * SIZE;
      var sum = select(0.0, 1.0, row == column);
      for (var k = column; k < row; k++) { sum -= factor[start + k] * output[first + k * SIZE + column]; }
      output[start + column] = sum / factor[start + row];
    }
  }
}
#end
