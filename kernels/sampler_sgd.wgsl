// Stochastic gradient descent with momentum, as torch.optim.SGD: b <- m b + g; step along g + m b (Nesterov) or b.
// A T = 0 SGHMC is this without Nesterov.

fn displacement(i: u32, g: vec4<f32>) -> vec4<f32> {
  let momentum = control.momentum * state[i] + g;
  state[i] = momentum;
#if NESTEROV
  return -control.learning_rate * (g + control.momentum * momentum);
#else
  return -control.learning_rate * momentum;
#end
}

// In equilibrium momentum makes the displacement -lr g / (1 - m): the host divides prior_step accordingly.
fn prior_step(i: u32) -> vec4<f32> { return vec4<f32>(control.prior_step); }
fn proposal(i: u32, at: Place, g: vec4<f32>) -> vec4<f32> {
  return at.delta + displacement(i, g);
}
fn settle(i: u32, at: Place, u: vec4<f32>, solved: vec4<f32>) -> vec4<f32> { return at.center + solved; }
