// Rectified linear unit: output = max(input, 0); d_input = 0 where output <= 0, else d_output.

#if BACKWARD
@group(0) @binding(0) var<storage, read_write> output: array<Item>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(2) var<storage, read_write> d_input: array<Item>;
#else
@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> output: array<Item>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#if BACKWARD
    let value = select(d_output[i], Item(0.0), output[i] <= Item(0.0));
#if ACCUMULATE
    d_input[i] += value;
#else
    d_input[i] = value;
#end
#else
    // Not max(): NaN must stay visible.
    output[i] = select(input[i], Item(0.0), input[i] < Item(0.0));
#end
  }
}
