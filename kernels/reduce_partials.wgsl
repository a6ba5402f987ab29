// output[i] = sum over s of partial[s, i], in the order of s; COUNT items, SPLITS partial sums each.

@group(0) @binding(0) var<storage, read_write> partial: array<Item>;
@group(0) @binding(1) var<storage, read_write> output: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = first_item(group, lane);
  if (i >= COUNT) { return; }
  var sum = partial[i];
  for (var split = 1u; split < SPLITS; split++) {
    sum += partial[split * COUNT + i];
  }
#if ACCUMULATE
  output[i] += sum;
#else
  output[i] = sum;
#end
}
