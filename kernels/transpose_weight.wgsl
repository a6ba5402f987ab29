// Convolution weights with input and output channels exchanged inside each group, for the input gradient:
// [TAPS, CI, G * CO] -> [TAPS, CO, G * CI]. An item is a number, or a square of 4 x 4 where both channels allow it.
// SIDE squares along the output channels come first, so that whole lines of memory are read, then those along the input
// channels, where they are written.

@group(0) @binding(0) var<storage, read_write> weight: array<Item>;
@group(0) @binding(1) var<storage, read_write> transposed: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let within = i % $(SIDE * G * CI / W)u;
    let rows = i / $(SIDE * G * CI / W)u;
    let input_channel = within / SIDE;
    let output_channel = rows % $(CO / W / SIDE)u * SIDE + within % SIDE;
    let tap = rows / $(CO / W / SIDE)u;
    let channel_group = input_channel / $(CI / W)u;
    let source = (tap * CI + input_channel % $(CI / W)u * W) * $(G * CO / W)u + channel_group * $(CO / W)u + output_channel;
#if W == 4
    let square = transpose(mat4x4<f32>(
#for k in 0..4
      weight[source + $(k * G * CO / 4)u],
#end
    ));
#for k in 0..4
    transposed[(tap * CO + output_channel * 4u + $(k)u) * $(G * CI / 4)u + input_channel] = square[$k];
#end
#else
    transposed[i] = weight[source];
#end
  }
}
