// Copies every STRIDE-th position and all SLICE channels of one tensor into channels FIRST.. of another, zeroing the
// others where CLEAR; or, BACKWARD, gathers them back. Channel padding, concatenation and their gradients.
//
// narrow [N, H, W, SLICE]; wide [N, ceil(H / STRIDE), ceil(W / STRIDE), C]. COUNT items of the side that is written.

@group(0) @binding(0) var<storage, read_write> narrow: array<Item>;
@group(0) @binding(1) var<storage, read_write> wide: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#if BACKWARD
    let channel = i % (SLICE / W);
    let position = i / (SLICE / W);
    let h = (position / INPUT_W) % INPUT_H;
    let w = position % INPUT_W;
    let kept = h % STRIDE == 0u && w % STRIDE == 0u;
    let destination = ((position / (INPUT_H * INPUT_W)) * OUTPUT_H + h / STRIDE) * OUTPUT_W + w / STRIDE;
    let value = select(Item(0.0), wide[destination * (C / W) + FIRST / W + channel], kept);
#if ACCUMULATE
    narrow[i] += value;
#else
    narrow[i] = value;
#end
#else
#if CLEAR
    let channel = i % (C / W);
    let position = i / (C / W);
    let within = channel >= FIRST / W && channel < (FIRST + SLICE) / W;
#else
    let channel = FIRST / W + i % (SLICE / W);
    let position = i / (SLICE / W);
    let within = true;
#end
    let h = ((position / OUTPUT_W) % OUTPUT_H) * STRIDE;
    let w = (position % OUTPUT_W) * STRIDE;
    let origin = ((position / (OUTPUT_H * OUTPUT_W)) * INPUT_H + h) * INPUT_W + w;
    let at = select(0u, origin * (SLICE / W) + channel - FIRST / W, within);
    wide[position * (C / W) + channel] = select(Item(0.0), narrow[at], within);
#end
  }
}
