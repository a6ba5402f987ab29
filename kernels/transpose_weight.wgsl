// Convolution weights with input and output channels exchanged inside each group, for the input gradient:
// [TAPS, CI, G * CO] -> [TAPS, CO, G * CI].

@group(0) @binding(0) var<storage, read_write> weight: array<f32>;
@group(0) @binding(1) var<storage, read_write> transposed: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let input_channel = i % (G * CI);
    let row = i / (G * CI);
    let channel_group = input_channel / CI;
    let source_row = (row / CO) * CI + input_channel % CI;
    transposed[i] = weight[source_row * (G * CO) + channel_group * CO + row % CO];
  }
}
