// Copies between two tensors along RANK axes, each with strides of its own: transposition, slices, concatenation,
// padding, repetition, and their gradients. output = input, or FACTOR times that where SCALED; ACCUMULATE adds.
// An input that stays where it is along the last axis (INPUT_SPLAT) is read as single numbers.

#if INPUT_SPLAT
@group(0) @binding(0) var<storage, read_write> input: array<f32>;
#else
@group(0) @binding(0) var<storage, read_write> input: array<Item>;
#end
@group(0) @binding(1) var<storage, read_write> output: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    var input_at = INPUT_OFFSET;
    var output_at = OUTPUT_OFFSET;
#for d in 0..RANK
    let at$d = (i / INNER$d) % SIZE$d;
    input_at += at$d * INPUT_STRIDE$d;
    output_at += at$d * OUTPUT_STRIDE$d;
#end
#if SCALED
    let value = Item(input[input_at]) * FACTOR;
#else
    let value = Item(input[input_at]);
#end
#if ACCUMULATE
    output[output_at] += value;
#else
    output[output_at] = value;
#end
  }
}
