// Per-channel sums over ranges of rows of a matrix [ROWS, C], W channels to an invocation.
//
// BACKWARD == 0: mean and M2 (sum of squared deviations) of each range, by sums shifted by the range's first row, which
// keeps the squares small where the mean is large. partial [CHUNKS, 2, C], counts [CHUNKS]: rows of each range.
// BACKWARD == 1: sums of dy and of dy * xhat, with xhat = (x - mean) / sqrt(variance + eps). partial [CHUNKS, 2, C].
// Where RELU, dy is what passes the rectifier. Its sign is that of the rectifier's input, computed again, or, where a
// RESIDUAL went into it, of its output; then dy is left in `passed`, for the residual and the input gradient.

@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> partial: array<Item>;
#if BACKWARD
@group(0) @binding(2) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(3) var<storage, read_write> mean: array<Item>;
@group(0) @binding(4) var<storage, read_write> variance: array<Item>;
#if RELU && RESIDUAL
@group(0) @binding(5) var<storage, read_write> output: array<Item>;
@group(0) @binding(6) var<storage, read_write> passed: array<Item>;
#end
#if RELU && !RESIDUAL
@group(0) @binding(5) var<storage, read_write> weight: array<Item>;
@group(0) @binding(6) var<storage, read_write> bias: array<Item>;
#end
#else
@group(0) @binding(2) var<storage, read_write> counts: array<f32>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let range = first_item(group, lane);
  if (range >= COUNT) { return; }
  let channel = range % (C / W);
  let chunk = range / (C / W);
  let first = chunk * CHUNK_ROWS;
  let last = min(first + CHUNK_ROWS, ROWS);
  var sum = Item(0.0);
  var second = Item(0.0);
#if BACKWARD
  let center = mean[channel];
  let inverse_deviation = inverseSqrt(variance[channel] + EPS);
#if RELU && !RESIDUAL
  let scale = weight[channel] * inverse_deviation;
  let shift = bias[channel];
#end
  for (var row = first; row < last; row++) {
    let i = row * (C / W) + channel;
    let deviation = input[i] - center;
#if RELU
#if RESIDUAL
    let dy = select(d_output[i], Item(0.0), output[i] <= Item(0.0));
    passed[i] = dy;
#else
    let dy = select(d_output[i], Item(0.0), deviation * scale + shift <= Item(0.0));
#end
#else
    let dy = d_output[i];
#end
    sum += dy;
    second += dy * deviation * inverse_deviation;
  }
  partial[chunk * (2u * C / W) + channel] = sum;
  partial[chunk * (2u * C / W) + C / W + channel] = second;
#else
  let shift = input[first * (C / W) + channel];
  for (var row = first; row < last; row++) {
    let deviation = input[row * (C / W) + channel] - shift;
    sum += deviation;
    second += deviation * deviation;
  }
  let rows = f32(last - first);
  partial[chunk * (2u * C / W) + channel] = shift + sum / rows;
  let squares = second - sum * sum / rows;
  // Not max(): NaN must stay visible.
  partial[chunk * (2u * C / W) + C / W + channel] = select(squares, Item(0.0), squares < Item(0.0));
  if (channel == 0u) { counts[chunk] = rows; }
#end
}
