// Max pooling and its gradient. The forward pass stores, for every output, which tap of the window won (the first in
// row-major order among equals, as PyTorch), W taps to a word; the backward pass gathers, so it needs no atomics.
//
// input [N, H, W, C]; output, taps [N, OH, OW, C]. COUNT items of the output (forward) or of the input (backward).

#if BACKWARD
@group(0) @binding(0) var<storage, read_write> taps: array<u32>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(2) var<storage, read_write> d_input: array<Item>;
#else
@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> output: array<Item>;
@group(0) @binding(2) var<storage, read_write> taps: array<u32>;
#end

#if W == 4
alias Taps = vec4<u32>;
alias Taken = vec4<bool>;
fn pack(taps: Taps) -> u32 { return taps.x | (taps.y << 8u) | (taps.z << 16u) | (taps.w << 24u); }
fn unpack(word: u32) -> Taps { return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u); }
#else
alias Taps = u32;
alias Taken = bool;
fn pack(taps: Taps) -> u32 { return taps; }
fn unpack(word: u32) -> Taps { return word; }
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let channel = i % (C / W);
    let position = i / (C / W);
#if BACKWARD
    let h = (position / INPUT_W) % INPUT_H;
    let w = position % INPUT_W;
    let image = position / (INPUT_H * INPUT_W);
    var sum = Item(0.0);
    for (var oh = first_window(h, DILATION * (KH - 1u) + 1u); oh < end_window(h, OUTPUT_H); oh++) {
      for (var ow = first_window(w, DILATION * (KW - 1u) + 1u); ow < end_window(w, OUTPUT_W); ow++) {
        let window = (image * OUTPUT_H + oh) * OUTPUT_W + ow;
        let at = window * (C / W) + channel;
        let offset = vec2(h + PAD - oh * STRIDE, w + PAD - ow * STRIDE);
        let tap = (offset.x / DILATION) * KW + offset.y / DILATION;
        let is_tap = all(offset % DILATION == vec2(0u));
        sum += select(Item(0.0), d_output[at], (unpack(taps[at]) == Taps(tap)) & Taken(is_tap));
      }
    }
#if ACCUMULATE
    d_input[i] += sum;
#else
    d_input[i] = sum;
#end
#else
    let top = i32(((position / OUTPUT_W) % OUTPUT_H) * STRIDE) - i32(PAD);
    let left = i32((position % OUTPUT_W) * STRIDE) - i32(PAD);
    let image = position / (OUTPUT_H * OUTPUT_W);
    var best = Item(-3.4028234663852886e38);
    var winner = Taps(0u);
    var seen = false;
    for (var kh = 0u; kh < KH; kh++) {
      for (var kw = 0u; kw < KW; kw++) {
        let h = top + i32(kh * DILATION);
        let w = left + i32(kw * DILATION);
        if (u32(h) < INPUT_H && u32(w) < INPUT_W) {
          let value = input[((image * INPUT_H + u32(h)) * INPUT_W + u32(w)) * (C / W) + channel];
          // A NaN wins and stays, as in PyTorch. By its bits: compilers may take x != x for false.
          let wins = (value > best) | ((bitcast<Taps>(value) & Taps(0x7fffffffu)) > Taps(0x7f800000u));
          best = select(best, value, wins);
          winner = select(winner, Taps(kh * KW + kw), wins);
          if (!seen) {
            best = value;
            winner = Taps(kh * KW + kw);
            seen = true;
          }
        }
      }
    }
    output[i] = best;
    taps[i] = pack(winner);
#end
  }
}
