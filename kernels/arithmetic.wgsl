// output = a + b, a - b, a * b, a / b for KIND 0, 1, 2, 3, each operand with strides of its own along RANK axes. An operand
// that stays where it is along the last axis (its SPLAT) is read as single numbers.

#if A_SPLAT
@group(0) @binding(0) var<storage, read_write> a: array<f32>;
#else
@group(0) @binding(0) var<storage, read_write> a: array<Item>;
#end
#if B_SPLAT
@group(0) @binding(1) var<storage, read_write> b: array<f32>;
#else
@group(0) @binding(1) var<storage, read_write> b: array<Item>;
#end
@group(0) @binding(2) var<storage, read_write> output: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    var a_at = 0u;
    var b_at = 0u;
#for d in 0..RANK
    let at$d = (i / INNER$d) % SIZE$d;
    a_at += at$d * A_STRIDE$d;
    b_at += at$d * B_STRIDE$d;
#end
#if KIND == 0
    output[i] = Item(a[a_at]) + b[b_at];
#end
#if KIND == 1
    output[i] = Item(a[a_at]) - b[b_at];
#end
#if KIND == 2
    output[i] = Item(a[a_at]) * b[b_at];
#end
#if KIND == 3
    output[i] = Item(a[a_at]) / b[b_at];
#end
  }
}
