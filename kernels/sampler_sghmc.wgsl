// Stochastic gradient Hamiltonian Monte Carlo (Chen et al., arXiv 1402.4102): v <- (1 - a) v - lr g + noise xi;
// theta <- theta + v.
//
// Implicit prior: half a kick by the likelihood's gradient, friction and noise, half a kick, all as above with
// lr (1 + m) / 2 for lr and m = 1 - a; then the harmonic motion under the prior by the implicit midpoint rule, which keeps
// the energy: c = (I + k S^-1)^-1 (d + v / 2) with k = lr / (4 N), d' = 2 c - d, v' = 2 (d' - d) - v. The prior is
// stationary exactly, whatever lr; with a likelihood the mean is exact. Without noise: as sampler_sgd.wgsl.

fn displacement(i: u32, loss_gradient: vec4<f32>) -> vec4<f32> {
  let g = loss_gradient + control.weight_decay * theta[i];
  let velocity = control.momentum * state[i] - control.learning_rate * g + control.noise * noise4(i);
  state[i] = velocity;
  return velocity;
}

fn prior_step(i: u32) -> vec4<f32> { return vec4<f32>(control.prior_step); }
fn proposal(i: u32, delta: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
  return delta + select(1.0, 0.5, control.prior_noise > 0.0) * displacement(i, g);
}
fn settle(i: u32, delta: vec4<f32>, solved: vec4<f32>) -> vec4<f32> {
  if (control.prior_noise == 0.0) { return solved; }
  let moved = 2.0 * solved - delta;
  state[i] = 2.0 * (moved - delta) - state[i];
  return moved;
}
