// Per-channel sums over ranges of rows of a matrix [ROWS, C], W channels to an invocation.
//
// BACKWARD == 0: mean and M2 (sum of squared deviations) of each range, by sums shifted by the range's first row, which
// keeps the squares small where the mean is large. partial [CHUNKS, 2, C].
// BACKWARD == 1: sums of dy and of dy * xhat, with xhat = (x - mean) / sqrt(variance + eps). partial [CHUNKS, 2, C].

@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> partial: array<Item>;
#if BACKWARD
@group(0) @binding(2) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(3) var<storage, read_write> mean: array<Item>;
@group(0) @binding(4) var<storage, read_write> variance: array<Item>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = first_item(group, lane);
  if (i >= COUNT) { return; }
  let channel = i % (C / W);
  let chunk = i / (C / W);
  let first = chunk * CHUNK_ROWS;
  let last = min(first + CHUNK_ROWS, ROWS);
  var sum = Item(0.0);
  var second = Item(0.0);
#if BACKWARD
  let center = mean[channel];
  let scale = inverseSqrt(variance[channel] + EPS);
  for (var row = first; row < last; row++) {
    let dy = d_output[row * (C / W) + channel];
    sum += dy;
    second += dy * (input[row * (C / W) + channel] - center) * scale;
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
#end
}
