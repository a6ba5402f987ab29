// The first activation: output = byte * scale + shift per colour, from uint8 images. COUNT = pixels; three bytes each.
// colours = [scale r, g, b, shift r, g, b].

@group(0) @binding(0) var<storage, read_write> images: array<u32>;
@group(0) @binding(1) var<storage, read_write> colours: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#for c in 0..3
    {
      let at = i * 3u + $(c)u;
      let byte = (images[at / 4u] >> ((at % 4u) * 8u)) & 255u;
      output[at] = f32(byte) * colours[$c] + colours[$(c + 3)];
    }
#end
  }
}
