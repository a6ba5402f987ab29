// One update of a segment of the flat vector: likelihood gradient, Gaussian prior and noise in one pass over memory.
//
// The prior is N(mean, Psi + W W^T) with Psi diagonal and W^T the ROWS_K rows. Joined behind control.wgsl, philox.wgsl,
// elementwise.wgsl and one sampler_*.wgsl. COUNT vec4 items of the segment; BASE is the index of
// its first item in the whole vector; rows [ROWS_K, COUNT].
//
// PHASE 0, explicit: theta moves along the whole gradient g + (Psi^-1 (d - W c)) / N, with c = C^-1 W^T Psi^-1 d.
//   COMBINED: the prior's part is in `gradient` already.
// PHASE 5, combine: the whole gradient is left in `gradient`, to be clipped before an explicit step.
// PHASE 1, stage: u = proposal is left in `gradient`; partial sums of W^T (Psi + k)^-1 u. Without rows: all of 1 and 2.
// PHASE 2, finish: solved = (I + k S^-1)^-1 u = (Psi u + k W c) / (Psi + k), with c = C_k^-1 W^T (Psi + k)^-1 u.
// PHASE 3, project: partial sums of W^T Psi^-1 d and, last, of d Psi^-1 d.
// PHASE 4, gram: partial sums of W^T (Psi + k)^-1 W, its lower triangle by rows; k = 0 where EXACT.
//
// A workgroup's partial sums are COLUMNS, or 0 in a phase without. They are added up 32 columns at a time: compilers for
// CPUs cut a kernel at its barriers, and some for each of 210 columns keep them busy for minutes.

@group(0) @binding(0) var<storage, read_write> step_control: Control;
@group(0) @binding(1) var<storage, read_write> theta: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> state: array<vec4<f32>>;
#if PRIOR
@group(0) @binding(4) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> psi: array<vec4<f32>>;
#end
#if ROWS_K > 0 || PHASE == 3
@group(0) @binding(6) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(8) var<storage, read_write> partial: array<f32>;
@group(0) @binding(9) var<storage, read_write> weights: array<f32>;
#end

#if COLUMNS > 0
/// The sums of 32 columns by lane, each column behind a gap: lanes that add up columns meet in different banks.
var<workgroup> lane_sums: array<f32, $((COLUMNS < 32) * COLUMNS * 65 + (COLUMNS >= 32) * 2080)>;

/// The 64 sums of a column: halves are added up, and again.
fn pairwise_sum(first: u32) -> f32 {
#for i in 0..32
  let a$i = lane_sums[first + $(i)u] + lane_sums[first + $(i + 32)u];
#end
#for i in 0..16
  let b$i = a$i + a$(i + 16);
#end
#for i in 0..8
  let c$i = b$i + b$(i + 8);
#end
#for i in 0..4
  let d$i = c$i + c$(i + 4);
#end
  return (d0 + d2) + (d1 + d3);
}
#end

/// Where a parameter is, the prior's mean, their difference, and a draw from the prior relative to its mean.
struct Place {
  position: vec4<f32>,
  center: vec4<f32>,
  delta: vec4<f32>,
  anchor: vec4<f32>,
}

// Compilers load from a writable buffer anew at each use: what is needed more than once is copied.
var<private> control: Control;

fn noise4(i: u32) -> vec4<f32> {
#if NOISE
  if (control.noise == 0.0) { return vec4<f32>(0.0); }
  return normal4(vec4<u32>(BASE + i, control.step, control.chain, STREAM), control.key);
#else
  return vec4<f32>(0.0);
#end
}

/// The loss's gradient with weight decay, for vectors that have it.
fn decayed(g: vec4<f32>, position: vec4<f32>) -> vec4<f32> {
#if DECAY
  return g + control.weight_decay * position;
#else
  return g;
#end
}

#if NOISE
/// A draw from the prior's diagonal part, relative to its mean; the same in both phases of a step.
fn diagonal_draw(i: u32, variance: vec4<f32>) -> vec4<f32> {
  // The padding between tensors has PADDING_PSI, and no draw.
  return select(sqrt(variance), vec4<f32>(0.0), variance >= vec4<f32>(PADDING_PSI))
    * normal4(vec4<u32>(BASE + i, control.step, control.chain, ANCHOR_STREAM), control.key);
}
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * GRID_X + group.x;
#for k in 0..COLUMNS
  var sum$k = vec4<f32>(0.0);
#end
  control = step_control;
#if ROWS_K > 0
#for k in 0..ROWS_K
  let coefficient$k = coefficients[$k];
  let draw$k = weights[$k];
#end
#end
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#if PRIOR && !COMBINED
    let variance = psi[i];
#if PHASE != 4
    let position = theta[i];
    let center = mean[i];
    let delta = position - center;
#end
#for k in 0..ROWS_K
    let row$k = rows[$(k)u * COUNT + i];
#end
    let low_rank = vec4<f32>(0.0)
#for k in 0..ROWS_K
      + row$k * coefficient$k
#end
    ;
#else
    let position = theta[i];
#end
#if PHASE == 0 || PHASE == 5
#if PRIOR && !COMBINED
    let g = gradient[i] + control.inverse_count * ((delta - low_rank) / variance);
#else
    let g = gradient[i];
#end
#if PHASE == 5
    gradient[i] = g;
#else
    theta[i] = position + displacement(i, decayed(g, position));
#end
#end
#if PHASE == 1 || PHASE == 2
    // A draw from the prior at the run's temperature, relative to its mean.
    var anchor = vec4<f32>(0.0);
#if NOISE
    if (control.prior_noise != 0.0) {
      anchor = control.prior_noise * (
        diagonal_draw(i, variance)
#for k in 0..ROWS_K
        + row$k * draw$k
#end
      );
    }
#end
    let at = Place(position, center, delta, anchor);
#end
#if PHASE == 1
    let u = proposal(i, at, decayed(gradient[i], position));
    let k = prior_step(i);
#if ROWS_K > 0
    gradient[i] = u;
    let weighted = u / (variance + k);
#for k in 0..ROWS_K
    sum$k += row$k * weighted;
#end
#else
    theta[i] = settle(i, at, u, variance / (variance + k) * u);
#end
#end
#if PHASE == 2
    let k = prior_step(i);
    let scale = 1.0 / (variance + k);
    let u = gradient[i];
    theta[i] = settle(i, at, u, variance * scale * u + k * scale * low_rank);
#end
#if PHASE == 3
    let weighted = delta / variance;
#for k in 0..ROWS_K
    sum$k += row$k * weighted;
#end
    sum$ROWS_K += delta * weighted;
#end
#if PHASE == 4
#if EXACT
    let weight = 1.0 / variance;
#else
    let weight = 1.0 / (variance + prior_step(i));
#end
#for a in 0..ROWS_K
    let weighted$a = row$a * weight;
#for b in 0..(a + 1)
    sum$(a * (a + 1) / 2 + b) += weighted$a * row$b;
#end
#end
#end
  }
#for chunk in 0..((COLUMNS + 31) / 32)
  workgroupBarrier();
#for k in (chunk * 32)..(chunk * 32 + 32)
#if k < COLUMNS
  lane_sums[$((k % 32) * 65)u + lane] = dot(sum$k, vec4<f32>(1.0));
#end
#end
  workgroupBarrier();
  if (lane < 32u && $(chunk * 32)u + lane < COLUMNS && block < BLOCKS) {
    partial[(FIRST_BLOCK + block) * COLUMNS + $(chunk * 32)u + lane] = pairwise_sum(lane * 65u);
  }
#end
}
