// Lines of an axis by a table of indices, and the gradient. input [OUTER, SIZE, INNER], output [OUTER, LINES, INNER].
//
// The gradient of a line is the sum over the places where it went: places [SIZE + 1] says where the list of each line
// begins, and holds the lists behind that. So nothing is scattered, and sums have an order.
//
// COUNT items of the output (forward) or of the input (backward).

#if BACKWARD
@group(0) @binding(0) var<storage, read_write> places: array<u32>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(2) var<storage, read_write> d_input: array<Item>;
#else
@group(0) @binding(0) var<storage, read_write> indices: array<u32>;
@group(0) @binding(1) var<storage, read_write> input: array<Item>;
@group(0) @binding(2) var<storage, read_write> output: array<Item>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let inner = i % (INNER / W);
#if BACKWARD
    let line = (i / (INNER / W)) % SIZE;
    let outer = i / (INNER / W * SIZE);
    var sum = Item(0.0);
    for (var p = places[line]; p < places[line + 1u]; p++) {
      sum += d_output[(outer * LINES + places[SIZE + 1u + p]) * (INNER / W) + inner];
    }
#if ACCUMULATE
    d_input[i] += sum;
#else
    d_input[i] = sum;
#end
#else
    let line = (i / (INNER / W)) % LINES;
    let outer = i / (INNER / W * LINES);
    output[i] = input[(outer * SIZE + indices[line]) * (INNER / W) + inner];
#end
  }
}
