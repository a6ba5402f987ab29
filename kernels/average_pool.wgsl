// Average pooling and its gradient. INCLUDE_PAD: padded positions count in the divisor, as PyTorch's default.
//
// input [N, H, W, C]; output [N, OH, OW, C]. COUNT items of the output (forward) or of the input (backward).

@group(0) @binding(0) var<storage, read_write> source: array<Item>;
@group(0) @binding(1) var<storage, read_write> output: array<Item>;

/// 1 / the number of positions that the window at (top, left) averages.
fn weight_of(top: i32, left: i32) -> f32 {
#if INCLUDE_PAD
  let height = min(top + i32(KH), i32(INPUT_H + PAD)) - top;
  let width = min(left + i32(KW), i32(INPUT_W + PAD)) - left;
#else
  let height = min(top + i32(KH), i32(INPUT_H)) - max(top, 0);
  let width = min(left + i32(KW), i32(INPUT_W)) - max(left, 0);
#end
  return 1.0 / f32(height * width);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let channel = i % (C / W);
    let position = i / (C / W);
    var sum = Item(0.0);
#if BACKWARD
    let h = (position / INPUT_W) % INPUT_H;
    let w = position % INPUT_W;
    let image = position / (INPUT_H * INPUT_W);
    for (var oh = first_window(h, KH); oh < end_window(h, OUTPUT_H); oh++) {
      for (var ow = first_window(w, KW); ow < end_window(w, OUTPUT_W); ow++) {
        let window = (image * OUTPUT_H + oh) * OUTPUT_W + ow;
        sum += source[window * (C / W) + channel] * weight_of(i32(oh * STRIDE) - i32(PAD), i32(ow * STRIDE) - i32(PAD));
      }
    }
#if ACCUMULATE
    output[i] += sum;
#else
    output[i] = sum;
#end
#else
    let top = i32(((position / OUTPUT_W) % OUTPUT_H) * STRIDE) - i32(PAD);
    let left = i32((position % OUTPUT_W) * STRIDE) - i32(PAD);
    let image = position / (OUTPUT_H * OUTPUT_W);
    for (var h = max(top, 0); h < min(top + i32(KH), i32(INPUT_H)); h++) {
      for (var w = max(left, 0); w < min(left + i32(KW), i32(INPUT_W)); w++) {
        sum += source[((image * INPUT_H + u32(h)) * INPUT_W + u32(w)) * (C / W) + channel];
      }
    }
    output[i] = sum * weight_of(top, left);
#end
  }
}
