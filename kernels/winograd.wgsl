// Winograd's minimal filtering along a row, F(4, 3) and F(3, 4), by the polynomials' values at 0, 1, -1, 2, -2 and at
// infinity: 6 products where direct sums take 12 (Lavin and Gray, Fast algorithms for convolutional neural networks,
// 2016). Joined behind operands.wgsl.

/** The values of 6 neighbouring inputs. */
fn input_values(x: array<Channels, 6>) -> array<Channels, 6> {
  let even = x[4] - 4.0 * x[2];
  let odd = x[3] - 4.0 * x[1];
  let far_even = x[4] - x[2];
  let far_odd = 2.0 * (x[3] - x[1]);
  return array<Channels, 6>(
    4.0 * x[0] - 5.0 * x[2] + x[4],
    even + odd,
    even - odd,
    far_even + far_odd,
    far_even - far_odd,
    4.0 * x[1] - 5.0 * x[3] + x[5]
  );
}
