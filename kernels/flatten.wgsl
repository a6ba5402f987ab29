// [N, H, W, C] to [N, C * H * W] in PyTorch's order (channel first), or back (BACKWARD). COUNT scalars.

@group(0) @binding(0) var<storage, read_write> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let image = i / (C * AREA);
#if BACKWARD
    let value = source[image * (C * AREA) + (i % C) * AREA + (i / C) % AREA];
#if ACCUMULATE
    output[i] += value;
#else
    output[i] = value;
#end
#else
    output[i] = source[image * (C * AREA) + (i % AREA) * C + (i / AREA) % C];
#end
  }
}
