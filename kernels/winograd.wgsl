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

/** The values of the gradients of 4 neighbouring outputs, but for factors, which wait until the sums are there. */
fn output_gradient_values(y0: Columns, y1: Columns, y2: Columns, y3: Columns) -> array<Columns, 6> {
  let even = y0 + y2;
  let odd = y1 + y3;
  let far_even = y0 + 4.0 * y2;
  let far_odd = 2.0 * y1 + 8.0 * y3;
  return array<Columns, 6>(y0, even + odd, even - odd, far_even + far_odd, far_even - far_odd, y3);
}
