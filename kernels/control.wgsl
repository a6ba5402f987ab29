// What changes from step to step. The host writes it before each submission; lib/gpu/control.ts mirrors it.

struct Control {
  key: vec2<u32>,
  step: u32,
  chain: u32,
  learning_rate: f32,
  // Standard deviation of the noise of one step.
  noise: f32,
  // What a step keeps of the velocity; for pSGLD, of the running square.
  momentum: f32,
  weight_decay: f32,
  // 1 / N: the share of the log prior in the loss.
  inverse_count: f32,
  // Implicit prior step: k in (I + k Sigma^-1)^-1, and the square root of the temperature, 0 in steps without noise.
  prior_step: f32,
  prior_noise: f32,
  damping: f32,
}
