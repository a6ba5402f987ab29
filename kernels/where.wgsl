// Elements of a where a condition is not 0, of b elsewhere; all three are broadcast along RANK axes.
//
// A MASKED launch is one of the gradient: it keeps elements of `a`, and zeros where the condition is (KEEP == 0) or is
// not (KEEP == 1) zero. An operand that stays where it is along the last axis (its SPLAT) is read as single numbers.

#if W == 4
alias Mask = vec4<u32>;
#else
alias Mask = u32;
#end

#if CONDITION_SPLAT
@group(0) @binding(0) var<storage, read_write> condition: array<u32>;
#else
@group(0) @binding(0) var<storage, read_write> condition: array<Mask>;
#end
#if A_SPLAT
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
#else
@group(0) @binding(1) var<storage, read_write> a: array<Item>;
#end
@group(0) @binding(2) var<storage, read_write> output: array<Item>;
#if !MASKED
#if B_SPLAT
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
#else
@group(0) @binding(3) var<storage, read_write> b: array<Item>;
#end
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    var condition_at = 0u;
    var a_at = 0u;
    var b_at = 0u;
#for d in 0..RANK
    let at$d = (i / INNER$d) % SIZE$d;
    condition_at += at$d * CONDITION_STRIDE$d;
    a_at += at$d * A_STRIDE$d;
    b_at += at$d * B_STRIDE$d;
#end
    let holds = Mask(condition[condition_at]) != Mask(0u);
#if MASKED
#if KEEP == 1
    let value = select(Item(0.0), Item(a[a_at]), holds);
#else
    let value = select(Item(a[a_at]), Item(0.0), holds);
#end
#else
    let value = select(Item(b[b_at]), Item(a[a_at]), holds);
#end
#if ACCUMULATE
    output[i] += value;
#else
    output[i] = value;
#end
  }
}
