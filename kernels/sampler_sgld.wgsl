// Stochastic gradient Langevin dynamics (Welling and Teh, 2011): theta <- theta - lr g + noise xi.
//
// Implicit prior: with k = lr / N, R = (I + k S^-1)^-1 and an anchor z drawn from the prior at the run's temperature,
// d' = z + R (d - z - lr g + noise xi). Under the prior alone d' has exactly the prior's law when d has it, whatever
// lr: with A = k I, M = (S + A)^-1, S M S M S + 2 S M A M S + A M S M A = S, because S M A = A M S. A stiff direction
// is drawn afresh at each step instead of oscillating. Without noise z = 0 and this is backward Euler.

fn displacement(i: u32, g: vec4<f32>) -> vec4<f32> {
  return control.noise * noise4(i) - control.learning_rate * g;
}

fn prior_step(i: u32) -> vec4<f32> { return vec4<f32>(control.prior_step); }
fn proposal(i: u32, at: Place, g: vec4<f32>) -> vec4<f32> {
  return at.delta - at.anchor + displacement(i, g);
}
fn settle(i: u32, at: Place, u: vec4<f32>, solved: vec4<f32>) -> vec4<f32> { return at.center + (at.anchor + solved); }
