// output[i] = VALUE.

@group(0) @binding(0) var<storage, read_write> output: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
#for j in 0..ITEMS
  {
    let i = first + $(j * 64)u;
    if (i < COUNT) { output[i] = Item(VALUE); }
  }
#end
}
