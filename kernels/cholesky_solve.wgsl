// coefficients = (I + G)^-1 y for a symmetric positive definite I + G of order K, by Cholesky, in one invocation.
// gram: lower triangle of G by rows; projection [K].

@group(0) @binding(0) var<storage, read_write> gram: array<f32>;
@group(0) @binding(1) var<storage, read_write> projection: array<f32>;
@group(0) @binding(2) var<storage, read_write> coefficients: array<f32>;

var<private> factor: array<f32, $(K * (K + 1) / 2)>;
var<private> solution: array<f32, K>;

@compute @workgroup_size(1)
fn main() {
  for (var row = 0u; row < K; row++) {
    for (var column = 0u; column <= row; column++) {
      var sum = gram[row * (row + 1u) / 2u + column] + select(0.0, 1.0, row == column);
      for (var k = 0u; k < column; k++) {
        sum -= factor[row * (row + 1u) / 2u + k] * factor[column * (column + 1u) / 2u + k];
      }
      if (row == column) {
        factor[row * (row + 1u) / 2u + row] = sqrt(sum);
      } else {
        factor[row * (row + 1u) / 2u + column] = sum / factor[column * (column + 1u) / 2u + column];
      }
    }
  }
  for (var row = 0u; row < K; row++) {
    var sum = projection[row];
    for (var k = 0u; k < row; k++) { sum -= factor[row * (row + 1u) / 2u + k] * solution[k]; }
    solution[row] = sum / factor[row * (row + 1u) / 2u + row];
  }
  for (var back = 0u; back < K; back++) {
    let row = K - 1u - back;
    var sum = solution[row];
    for (var k = row + 1u; k < K; k++) { sum -= factor[k * (k + 1u) / 2u + row] * solution[k]; }
    solution[row] = sum / factor[row * (row + 1u) / 2u + row];
    coefficients[row] = solution[row];
  }
}
