// output[i] = VALUE.

@group(0) @binding(0) var<storage, read_write> output: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    output[i] = Item(VALUE);
  }
}
