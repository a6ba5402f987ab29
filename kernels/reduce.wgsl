// Sums over the REDUCED axes of a tensor x, or of a product or quotient with others, in ranges of CHUNK: reductions, and
// the gradients of operands that were broadcast. The KEPT axes are those of the output.
//
// TERM 0: x; 1: x * y; 2: x / y; 3: x * y / z^2. partial [CHUNKS, KEPT] = FACTOR * sum; COUNT = CHUNKS * KEPT items. An
// operand that stays where it is along the last kept axis (its SPLAT) is read as single numbers.

#if X_SPLAT
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
#else
@group(0) @binding(0) var<storage, read_write> x: array<Item>;
#end
@group(0) @binding(1) var<storage, read_write> partial: array<Item>;
#if TERM > 0
#if Y_SPLAT
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<Item>;
#end
#end
#if TERM == 3
#if Z_SPLAT
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
#else
@group(0) @binding(3) var<storage, read_write> z: array<Item>;
#end
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let kept = i % KEPT;
    var x_kept = 0u;
    var y_kept = 0u;
    var z_kept = 0u;
#for d in 0..KEPT_RANK
    let at$d = (kept / KEPT_INNER$d) % KEPT_SIZE$d;
    x_kept += at$d * X_KEPT_STRIDE$d;
    y_kept += at$d * Y_KEPT_STRIDE$d;
    z_kept += at$d * Z_KEPT_STRIDE$d;
#end
    var sum = Item(0.0);
#if REDUCED > 1
    let begin = (i / KEPT) * CHUNK;
    for (var r = begin; r < min(begin + CHUNK, REDUCED); r++) {
#else
    {
      let r = 0u;
#end
      var x_at = x_kept;
      var y_at = y_kept;
      var z_at = z_kept;
#for d in 0..REDUCED_RANK
      let along$d = (r / REDUCED_INNER$d) % REDUCED_SIZE$d;
      x_at += along$d * X_REDUCED_STRIDE$d;
      y_at += along$d * Y_REDUCED_STRIDE$d;
      z_at += along$d * Z_REDUCED_STRIDE$d;
#end
#if TERM == 0
      sum += Item(x[x_at]);
#end
#if TERM == 1
      sum += Item(x[x_at]) * y[y_at];
#end
#if TERM == 2
      sum += Item(x[x_at]) / y[y_at];
#end
#if TERM == 3
      sum += Item(x[x_at]) * y[y_at] / (Item(z[z_at]) * z[z_at]);
#end
    }
#if ACCUMULATE
    partial[i] += FACTOR * sum;
#else
    partial[i] = FACTOR * sum;
#end
  }
}
