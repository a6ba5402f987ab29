// Stochastic gradient Hamiltonian Monte Carlo (Chen et al., arXiv 1402.4102): v <- (1 - a) v - lr g + noise xi;
// theta <- theta + v.
//
// Implicit prior: half a kick by the likelihood's gradient, friction and noise, half a kick, all as above with
// lr (1 + m) / 2 for lr and m = 1 - a; then the motion under the prior, with a draw z from it at the run's temperature:
// d' = z + (I + k S^-1)^-1 (d - z + v), v' = 2 (d' - d) - v, k = lr / (2 N). Where Cov(d) = T S, Var(v) = 2 k T and
// both are independent, so they are afterwards, whatever lr: with R = (I + k S^-1)^-1 and u = d - z + v, v' = v -
// 2 (I - R) u, Var(u) = 2 T (S + k), Cov(u, v) = 2 k T. A stiff direction is drawn afresh at each step (the midpoint
// rule would keep its energy and reflect it for ever). With a likelihood the mean is exact. Without noise: as
// sampler_sgd.wgsl.

fn velocity_of(i: u32, g: vec4<f32>) -> vec4<f32> {
  return control.momentum * state[i] - control.learning_rate * g + control.noise * noise4(i);
}

fn displacement(i: u32, g: vec4<f32>) -> vec4<f32> {
  let velocity = velocity_of(i, g);
  state[i] = velocity;
  return velocity;
}

fn prior_step(i: u32) -> vec4<f32> { return vec4<f32>(control.prior_step); }
fn proposal(i: u32, at: Place, g: vec4<f32>) -> vec4<f32> {
  let velocity = velocity_of(i, g);
  // In place of the velocity, which u has as well, z - d: where `settle` leaves at.anchor alone, compilers drop its draw.
  state[i] = select(at.anchor - at.delta, velocity, control.prior_noise == 0.0);
  return at.delta - at.anchor + velocity;
}
fn settle(i: u32, at: Place, u: vec4<f32>, solved: vec4<f32>) -> vec4<f32> {
  if (control.prior_noise == 0.0) { return at.center + solved; }
  // d' - d = z - d + R u, and v' = 2 (d' - d) - v = (d' - d) + R u - u.
  let moved = state[i] + solved;
  state[i] = moved + (solved - u);
  return at.position + moved;
}
