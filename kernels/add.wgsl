// Sum of two tensors of one shape; with COPY the second operand is absent, and ACCUMULATE adds to the output.

@group(0) @binding(0) var<storage, read_write> a: array<Item>;
#if COPY
@group(0) @binding(1) var<storage, read_write> output: array<Item>;
#else
@group(0) @binding(1) var<storage, read_write> b: array<Item>;
@group(0) @binding(2) var<storage, read_write> output: array<Item>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#if COPY
#if ACCUMULATE
    output[i] += a[i];
#else
    output[i] = a[i];
#end
#else
    output[i] = a[i] + b[i];
#end
  }
}
