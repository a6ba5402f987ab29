// Rows of LENGTH parts over their Euclidean norm, a row to a workgroup: output = x / max(|x|, EPS). BACKWARD, with
// y = x / |x|: d_input = (d_output - y (y . d_output)) / |x|, or d_output / EPS where the norm is below EPS.

@group(0) @binding(0) var<storage, read_write> input: array<Part>;
#if BACKWARD
@group(0) @binding(1) var<storage, read_write> d_output: array<Part>;
@group(0) @binding(2) var<storage, read_write> d_input: array<Part>;
#else
@group(0) @binding(1) var<storage, read_write> output: array<Part>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * GRID_X + group.x;
  if (row >= ROWS) { return; }
  let first = row * LENGTH + lane;
  let end = (row + 1u) * LENGTH;
  var squares = Part(0.0);
  for (var i = first; i < end; i += S) {
    let value = input[i];
    squares += value * value;
  }
  let norm = sqrt(sum_over_lanes(squares, lane));
  let scale = 1.0 / max(norm, EPS);
#if BACKWARD
  var products = Part(0.0);
  for (var i = first; i < end; i += S) { products += input[i] * d_output[i]; }
  let along = select(0.0, sum_over_lanes(products, lane) * scale * scale, norm >= EPS);
  for (var i = first; i < end; i += S) {
    let gradient = scale * (d_output[i] - along * input[i]);
#if ACCUMULATE
    d_input[i] += gradient;
#else
    d_input[i] = gradient;
#end
  }
#else
  for (var i = first; i < end; i += S) { output[i] = scale * input[i]; }
#end
}
