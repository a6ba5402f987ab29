// Counter-based random numbers: Philox 4x32-10 (Salmon et al., 2011), the same bits as lib/random/philox.ts.
// Joined behind one of multiply_high*.wgsl.

fn philox(start: vec4<u32>, start_key: vec2<u32>) -> vec4<u32> {
  var counter = start;
  var key = start_key;
#for round in 0..10
  counter = vec4<u32>(
    multiply_high(0xcd9e8d57u, counter.z) ^ counter.y ^ key.x,
    0xcd9e8d57u * counter.z,
    multiply_high(0xd2511f53u, counter.x) ^ counter.w ^ key.y,
    0xd2511f53u * counter.x,
  );
  key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
#end
  return counter;
}

/// Four independent standard normals (Box and Muller). log() near 1 may come out positive: hence the max.
fn normal4(counter: vec4<u32>, key: vec2<u32>) -> vec4<f32> {
  let bits = philox(counter, key) >> vec4<u32>(8u);
  let radius = sqrt(max(-2.0 * log(vec2<f32>(bits.xz + 1u) * 5.9604644775390625e-8), vec2<f32>(0.0)));
  let angle = 6.283185307179586 * vec2<f32>(bits.yw) * 5.9604644775390625e-8;
  return vec4<f32>(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y), radius.y * sin(angle.y));
}
