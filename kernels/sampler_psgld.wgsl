// Preconditioned SGLD (Li et al., arXiv 1512.07666, without the Gamma term): V <- beta V + (1 - beta) g^2,
// G = 1 / (sqrt(V) + damping), theta <- theta - lr G g + sqrt(G) noise xi. Implicit prior: that of SGLD with A = k G.

fn preconditioner(i: u32) -> vec4<f32> { return 1.0 / (sqrt(state[i]) + control.damping); }

fn displacement(i: u32, g: vec4<f32>) -> vec4<f32> {
  state[i] = control.momentum * state[i] + (1.0 - control.momentum) * g * g;
  let scale = preconditioner(i);
  return control.noise * sqrt(scale) * noise4(i) - control.learning_rate * scale * g;
}

fn prior_step(i: u32) -> vec4<f32> { return control.prior_step * preconditioner(i); }
fn proposal(i: u32, at: Place, g: vec4<f32>) -> vec4<f32> {
  return at.delta - at.anchor + displacement(i, g);
}
fn settle(i: u32, at: Place, u: vec4<f32>, solved: vec4<f32>) -> vec4<f32> { return at.center + (at.anchor + solved); }
