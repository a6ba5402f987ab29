// Softmax cross-entropy with label smoothing, a row to an invocation. Rows whose label is MASKED do not count.
//
// logits [B, CLASSES]; labels [B]; rows [B, 3] = (loss, correct, counted). The target distribution is
// (1 - smoothing) * onehot + smoothing / CLASSES. GRADIENT: d_logits = (softmax - target) / totals.counted.
// totals = (sum of losses, number correct, number counted), in the order of the rows.

const MASKED = 0xffffffffu;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> labels: array<u32>;
#if GRADIENT
@group(0) @binding(2) var<storage, read_write> totals: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_logits: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> rows: array<f32>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = first_item(group, lane);
  if (row >= B) { return; }
  let label = labels[row];
  let counted = label != MASKED;
  var largest = logits[row * CLASSES];
  var winner = 0u;
  for (var c = 1u; c < CLASSES; c++) {
    let value = logits[row * CLASSES + c];
    // A NaN wins, so that it reaches the loss. By its bits: compilers may take x != x for false.
    if (value > largest || (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u) {
      largest = value;
      winner = c;
    }
  }
  var sum = 0.0;
  var mean = 0.0;
  for (var c = 0u; c < CLASSES; c++) {
    let shifted = logits[row * CLASSES + c] - largest;
    sum += exp(shifted);
    mean += shifted / f32(CLASSES);
  }
#if GRADIENT
  let weight = select(0.0, 1.0 / totals[2], counted);
  for (var c = 0u; c < CLASSES; c++) {
    let probability = exp(logits[row * CLASSES + c] - largest) / sum;
    let wanted = select(0.0, 1.0 - SMOOTHING, c == label) + SMOOTHING / f32(CLASSES);
    d_logits[row * CLASSES + c] = select(0.0, (probability - wanted) * weight, counted);
  }
#else
  let at = select(0u, label, counted);
  let shifted = logits[row * CLASSES + at] - largest;
  let loss = log(sum) - (1.0 - SMOOTHING) * shifted - SMOOTHING * mean;
  rows[row * 3u] = select(0.0, loss, counted);
  rows[row * 3u + 1u] = select(0.0, 1.0, counted && winner == label);
  rows[row * 3u + 2u] = select(0.0, 1.0, counted);
#end
}
