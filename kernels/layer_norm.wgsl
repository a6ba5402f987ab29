// Layer normalisation of rows of LENGTH parts, a row to a workgroup: output = (x - mean) * rstd [* weight] [+ bias];
// statistics [ROWS, 2] = (mean, rstd), with the biased variance about the mean. BACKWARD, with h = d_output [* weight] and
// n = (x - mean) rstd: d_input = rstd (h - mean of h - n mean of h n).

@group(0) @binding(0) var<storage, read_write> input: array<Part>;
@group(0) @binding(1) var<storage, read_write> statistics: array<vec2<f32>>;
#if BACKWARD
@group(0) @binding(2) var<storage, read_write> d_output: array<Part>;
@group(0) @binding(3) var<storage, read_write> d_input: array<Part>;
#else
@group(0) @binding(2) var<storage, read_write> output: array<Part>;
#end
#if WEIGHT
@group(0) @binding($(BACKWARD + 3)) var<storage, read_write> weight: array<Part>;
#end
#if BIAS
@group(0) @binding($(WEIGHT + 3)) var<storage, read_write> bias: array<Part>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * GRID_X + group.x;
  if (row >= ROWS) { return; }
  let first = row * LENGTH;
#if BACKWARD
  let mean = statistics[row].x;
  let rstd = statistics[row].y;
  var h_parts = Part(0.0);
  var hn_parts = Part(0.0);
  for (var k = lane; k < LENGTH; k += S) {
#if WEIGHT
    let h = d_output[first + k] * weight[k];
#else
    let h = d_output[first + k];
#end
    h_parts += h;
    hn_parts += h * (input[first + k] - mean) * rstd;
  }
  let h_mean = sum_over_lanes(h_parts, lane) / f32(LENGTH * W);
  let hn_mean = sum_over_lanes(hn_parts, lane) / f32(LENGTH * W);
  for (var k = lane; k < LENGTH; k += S) {
#if WEIGHT
    let h = d_output[first + k] * weight[k];
#else
    let h = d_output[first + k];
#end
    let gradient = rstd * (h - h_mean - (input[first + k] - mean) * rstd * hn_mean);
#if ACCUMULATE
    d_input[first + k] += gradient;
#else
    d_input[first + k] = gradient;
#end
  }
#else
  var parts = Part(0.0);
  for (var k = lane; k < LENGTH; k += S) { parts += input[first + k]; }
  let mean = sum_over_lanes(parts, lane) / f32(LENGTH * W);
  parts = Part(0.0);
  for (var k = lane; k < LENGTH; k += S) {
    let deviation = input[first + k] - mean;
    parts += deviation * deviation;
  }
  let rstd = inverseSqrt(sum_over_lanes(parts, lane) / f32(LENGTH * W) + EPS);
  if (lane == 0u) { statistics[row] = vec2<f32>(mean, rstd); }
  for (var k = lane; k < LENGTH; k += S) {
    var value = (input[first + k] - mean) * rstd;
#if WEIGHT
    value *= weight[k];
#end
#if BIAS
    value += bias[k];
#end
    output[first + k] = value;
  }
#end
}
