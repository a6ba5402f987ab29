// Cross-entropy of rows of LENGTH parts of logits against weights t, a row to a workgroup:
// loss = (sum of t) log(sum of exp x) - sum of t x. BACKWARD: d_logits = d_loss ((sum of t) softmax(x) - t).
// SOFT: targets [ROWS, LENGTH] are t. LABELLED: t is 1 in column labels[row] - 1, where there is one, 0 elsewhere.
// PEERS: t is 1 in the other columns of the row's class, and the loss is divided by how many there are.
// Otherwise t is 1 in column (STEP * row + SHIFT) % COLUMNS of COLUMNS, 0 elsewhere.
// WITHOUT_SELF: column `row` of a row does not exist.

@group(0) @binding(0) var<storage, read_write> logits: array<Part>;
#if SOFT
@group(0) @binding(1) var<storage, read_write> targets: array<Part>;
#end
#if LABELLED
@group(0) @binding(1) var<storage, read_write> labels: array<f32>;
#end
#if PEERS
@group(0) @binding(1) var<storage, read_write> classes: array<Part>;
#end
#if BACKWARD
@group(0) @binding($(SOFT + LABELLED + PEERS + 1)) var<storage, read_write> d_losses: array<f32>;
@group(0) @binding($(SOFT + LABELLED + PEERS + 2)) var<storage, read_write> d_logits: array<Part>;
#else
@group(0) @binding($(SOFT + LABELLED + PEERS + 1)) var<storage, read_write> losses: array<f32>;
#end

/// 1 in the column `wanted`, 0 elsewhere, of the columns of part k.
fn marked(k: u32, wanted: u32) -> Part {
#if W == 4
  return select(vec4<f32>(0.0), vec4<f32>(1.0), vec4<u32>(4u * k) + vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(wanted));
#else
  return select(0.0, 1.0, k == wanted);
#end
}

#if PEERS
/// 1 in the other columns of the row's class, 0 elsewhere.
fn peers_of(row: u32, k: u32) -> Part {
#if W == 4
  let own = classes[row / 4u][row % 4u];
#else
  let own = classes[row];
#end
  return select(Part(0.0), Part(1.0) - marked(k, row), classes[k] == Part(own));
}
#end

fn target_of(row: u32, k: u32) -> Part {
#if SOFT
  return targets[row * LENGTH + k];
#else
#if LABELLED
  // A label of 0 is no column, however it wraps.
  return marked(k, u32(labels[row]) - 1u);
#else
#if PEERS
  return peers_of(row, k);
#else
  return marked(k, (STEP * row + SHIFT) % COLUMNS);
#end
#end
#end
}

/// A logit, far below all others where it does not exist.
fn logit(row: u32, k: u32) -> Part {
#if WITHOUT_SELF
  return select(logits[row * LENGTH + k], Part(-3.4028234663852886e38), marked(k, row) == Part(1.0));
#else
  return logits[row * LENGTH + k];
#end
}

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * GRID_X + group.x;
  if (row >= ROWS) { return; }
  var most = Part(-3.4028234663852886e38);
  for (var k = lane; k < LENGTH; k += S) { most = max(most, logit(row, k)); }
  let top = max_over_lanes(most, lane);
  var exponentials = Part(0.0);
  var weights = Part(0.0);
  var products = Part(0.0);
  for (var k = lane; k < LENGTH; k += S) {
    let shifted = logit(row, k) - top;
    let weight = target_of(row, k);
    exponentials += exp(shifted);
    weights += weight;
    products += select(Part(0.0), weight * shifted, weight != Part(0.0));
  }
  let sum = sum_over_lanes(exponentials, lane);
  let weight = sum_over_lanes(weights, lane);
#if PEERS
  // A row without any has no loss.
  let divisor = max(weight, 1.0);
#else
  let divisor = 1.0;
#end
#if BACKWARD
  let scale = d_losses[row] / divisor;
  for (var k = lane; k < LENGTH; k += S) {
    let at = row * LENGTH + k;
    let gradient = scale * (weight * exp(logit(row, k) - top) / sum - target_of(row, k));
#if ACCUMULATE
    d_logits[at] += gradient;
#else
    d_logits[at] = gradient;
#end
  }
#else
  let product = sum_over_lanes(products, lane);
  if (lane == 0u) { losses[row] = (weight * log(sum) - product) / divisor; }
#end
}
