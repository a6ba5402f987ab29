// One AdamW update (Loshchilov and Hutter, arXiv 1711.05101) of a segment of the flat vector, as torch.optim.AdamW:
// m <- BETA_1 m + (1 - BETA_1) g; v <- BETA_2 v + (1 - BETA_2) g^2; theta <- decay theta - rate m / (sqrt(v) scale + EPS).
// settings = (rate, scale, decay): lr / (1 - BETA_1^t), 1 / sqrt(1 - BETA_2^t), 1 - lr * weight decay.
// Joined behind elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> settings: array<f32>;
@group(0) @binding(1) var<storage, read_write> theta: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> means: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> squares: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  let rate = settings[0];
  let scale = settings[1];
  let decay = settings[2];
  for (var i = first; i < end; i += RUN) {
    let g = gradient[i];
    let mean = BETA_1 * means[i] + (1.0 - BETA_1) * g;
    let square = BETA_2 * squares[i] + (1.0 - BETA_2) * g * g;
    means[i] = mean;
    squares[i] = square;
    theta[i] = decay * theta[i] - rate * mean / (sqrt(square) * scale + EPS);
  }
}
