// Softmax of rows of LENGTH parts, a row to a workgroup: output = exp(x - max) / sum; BACKWARD: d_input = y (d_output -
// sum of d_output y), from the output y.

#if BACKWARD
@group(0) @binding(0) var<storage, read_write> output: array<Part>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Part>;
@group(0) @binding(2) var<storage, read_write> d_input: array<Part>;
#else
@group(0) @binding(0) var<storage, read_write> input: array<Part>;
@group(0) @binding(1) var<storage, read_write> output: array<Part>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * GRID_X + group.x;
  if (row >= ROWS) { return; }
  let first = row * LENGTH + lane;
  let end = (row + 1u) * LENGTH;
#if BACKWARD
  var parts = Part(0.0);
  for (var i = first; i < end; i += S) { parts += d_output[i] * output[i]; }
  let sum = sum_over_lanes(parts, lane);
  for (var i = first; i < end; i += S) {
#if ACCUMULATE
    d_input[i] += output[i] * (d_output[i] - sum);
#else
    d_input[i] = output[i] * (d_output[i] - sum);
#end
  }
#else
  var most = Part(-3.4028234663852886e38);
  for (var i = first; i < end; i += S) { most = max(most, input[i]); }
  let top = max_over_lanes(most, lane);
  var parts = Part(0.0);
  for (var i = first; i < end; i += S) {
    let value = exp(input[i] - top);
    parts += value;
    output[i] = value;
  }
  let scale = 1.0 / sum_over_lanes(parts, lane);
  // Each lane scales what it wrote itself.
  for (var i = first; i < end; i += S) { output[i] *= scale; }
#end
}
