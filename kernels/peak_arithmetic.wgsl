// Multiply-adds and next to nothing else: what a device's arithmetic does at most. Each invocation runs CHAINS
// independent chains of vec4 of ROUNDS * UNROLLED multiply-adds.

@group(0) @binding(0) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let start = f32(id.x);
  let scale = vec4<f32>(start * 1e-9 + 0.5);
#for c in 0..CHAINS
  var chain$c = vec4<f32>(start + $c);
#end
  for (var round = 0u; round < ROUNDS; round++) {
#for k in 0..UNROLLED
#for c in 0..CHAINS
    chain$c = fma(chain$c, scale, scale);
#end
#end
  }
  var sum = vec4<f32>(0.0);
#for c in 0..CHAINS
  sum += chain$c;
#end
  output[id.x] = sum;
}
