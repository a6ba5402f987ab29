// Count, mean and M2 (sum of squared deviations) of each channel over blocks of rows, and their combination (Chan,
// Golub and LeVeque, 1979). Joined behind elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> partial: array<Item>;
@group(0) @binding(1) var<storage, read_write> counts: array<f32>;

struct Moments {
  count: f32,
  average: Item,
  squares: Item,
}

// Of the blocks from `first` to before `end` together, in order. partial [blocks, 2, C]: mean, M2; counts [blocks].
fn moments_of(first: u32, end: u32, channel: u32) -> Moments {
  var all = Moments(
    counts[first],
    partial[first * (2u * C / W) + channel],
    partial[first * (2u * C / W) + C / W + channel]
  );
  for (var block = first + 1u; block < end; block++) {
    let count = counts[block];
    let together = all.count + count;
    let delta = partial[block * (2u * C / W) + channel] - all.average;
    all.average += delta * (count / together);
    all.squares += partial[block * (2u * C / W) + C / W + channel] + delta * delta * (all.count * count / together);
    all.count = together;
  }
  return all;
}
