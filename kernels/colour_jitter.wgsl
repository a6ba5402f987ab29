// Changes of colour of a pixel in [0, 1], as torchvision makes them on float tensors: each ends within [0, 1].

fn luminance(pixel: vec3<f32>) -> f32 { return 0.2989 * pixel.x + 0.587 * pixel.y + 0.114 * pixel.z; }

fn blend(pixel: vec3<f32>, other: vec3<f32>, ratio: f32) -> vec3<f32> {
  return clamp(ratio * pixel + (1.0 - ratio) * other, vec3<f32>(0.0), vec3<f32>(1.0));
}

/// Adds a share of a turn to the hue.
fn shift_hue(pixel: vec3<f32>, turn: f32) -> vec3<f32> {
  let most = max(pixel.x, max(pixel.y, pixel.z));
  let chroma = most - min(pixel.x, min(pixel.y, pixel.z));
  if (chroma == 0.0) { return pixel; }
  let from_top = (vec3<f32>(most) - pixel) / chroma;
  var hue = 4.0 + from_top.y - from_top.x;
  if (pixel.x == most) { hue = from_top.z - from_top.y; }
  else if (pixel.y == most) { hue = 2.0 + from_top.x - from_top.z; }
  let turned = hue / 6.0 + turn;
  let sector = (turned - floor(turned)) * 6.0;
  let whole = floor(sector);
  let part = sector - whole;
  let saturation = chroma / most;
  let p = most * (1.0 - saturation);
  let q = most * (1.0 - saturation * part);
  let t = most * (1.0 - saturation * (1.0 - part));
  switch (u32(whole) % 6u) {
    case 0u: { return vec3<f32>(most, t, p); }
    case 1u: { return vec3<f32>(q, most, p); }
    case 2u: { return vec3<f32>(p, most, t); }
    case 3u: { return vec3<f32>(p, q, most); }
    case 4u: { return vec3<f32>(t, p, most); }
    default: { return vec3<f32>(most, p, q); }
  }
}
