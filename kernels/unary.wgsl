// output = value(input) for one of the functions below, and its gradient d_input = d_output * slope(input). ALPHA and BETA
// are the function's own constants.

#if BACKWARD
@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Item>;
@group(0) @binding(2) var<storage, read_write> d_input: array<Item>;
#else
@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> output: array<Item>;
#end

/// 1 / (1 + exp(-x)), without an overflow.
fn logistic(x: Item) -> Item {
  let t = exp(-abs(x));
  return select(t, Item(1.0), x >= Item(0.0)) / (1.0 + t);
}

/// tanh, which drivers may let overflow; absolute error 1e-7.
fn bounded_tanh(x: Item) -> Item {
  let t = exp(-2.0 * abs(x));
  return sign(x) * (1.0 - t) / (1.0 + t);
}

/// The error function, with an absolute error of 3e-7: below 1, x times a polynomial in x^2; above, 1 - exp of one in x. Both
/// are minimax fits (3.9e-8 and 1.5e-8) to float64 values on [0, 1] and [1, 4]; beyond 4 the function is 1 in float32.
fn error_function(x: Item) -> Item {
  // Not min(): NaN must stay visible.
  let a = select(abs(x), Item(4.0), abs(x) > Item(4.0));
  let s = a * a;
  let near = a * (1.1283791286149336 + s * (-0.37612355768973826 + s * (0.1128041210483367 + s * (-0.026717718709960966 +
    s * (0.0049248007096435314 - s * 0.0005660195486299063)))));
  let far = 1.0 - exp(-0.0026717021986319748 + a * (-1.1174384789967473 + a * (-0.6544889581788003 +
    a * (-0.08863416247003586 + a * (0.014778114704116718 - a * 0.0011504212451682871)))));
  return sign(x) * select(far, near, a < Item(1.0));
}

#if KIND == 0
// affine: ALPHA * x + BETA
fn value(x: Item) -> Item { return ALPHA * x + BETA; }
fn slope(x: Item) -> Item { return Item(ALPHA); }
#end
#if KIND == 1
// leakyRelu: ALPHA * x below 0
fn value(x: Item) -> Item { return select(x, ALPHA * x, x < Item(0.0)); }
fn slope(x: Item) -> Item { return select(Item(ALPHA), Item(1.0), x > Item(0.0)); }
#end
#if KIND == 2
// clip to [ALPHA, BETA]; not clamp(): NaN must stay visible. No gradient at the bounds, as PyTorch's hardtanh.
fn value(x: Item) -> Item { return select(select(x, Item(BETA), x > Item(BETA)), Item(ALPHA), x < Item(ALPHA)); }
fn slope(x: Item) -> Item { return select(Item(0.0), Item(1.0), (x > Item(ALPHA)) & (x < Item(BETA))); }
#end
#if KIND == 3
// sigmoid
fn value(x: Item) -> Item { return logistic(x); }
fn slope(x: Item) -> Item { return logistic(x) * logistic(-x); }
#end
#if KIND == 4
// hardSigmoid: ALPHA * x + BETA between 0 and 1
fn value(x: Item) -> Item {
  let y = ALPHA * x + BETA;
  return select(select(y, Item(1.0), y > Item(1.0)), Item(0.0), y < Item(0.0));
}
fn slope(x: Item) -> Item {
  let y = ALPHA * x + BETA;
  return select(Item(0.0), Item(ALPHA), (y > Item(0.0)) & (y < Item(1.0)));
}
#end
#if KIND == 5
// hardSwish: x * hardSigmoid(x), with 1/6 and 1/2
fn value(x: Item) -> Item {
  return x * select(select(x / 6.0 + 0.5, Item(1.0), x > Item(3.0)), Item(0.0), x < Item(-3.0));
}
fn slope(x: Item) -> Item {
  return select(select(x / 3.0 + 0.5, Item(1.0), x > Item(3.0)), Item(0.0), x < Item(-3.0));
}
#end
#if KIND == 6
// silu: x * sigmoid(x)
fn value(x: Item) -> Item { return x * logistic(x); }
fn slope(x: Item) -> Item { return logistic(x) * (1.0 + x * logistic(-x)); }
#end
#if KIND == 7
// tanh
fn value(x: Item) -> Item { return bounded_tanh(x); }
fn slope(x: Item) -> Item {
  let t = exp(-2.0 * abs(x));
  return 4.0 * t / ((1.0 + t) * (1.0 + t));
}
#end
#if KIND == 8
// erf
fn value(x: Item) -> Item { return error_function(x); }
fn slope(x: Item) -> Item { return 1.1283791670955126 * exp(-x * x); }
#end
#if KIND == 9
// gelu: x * (1 + erf(x / sqrt(2))) / 2
fn value(x: Item) -> Item { return 0.5 * x * (1.0 + error_function(x * 0.7071067811865476)); }
fn slope(x: Item) -> Item {
  return 0.5 * (1.0 + error_function(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(-0.5 * x * x);
}
#end
#if KIND == 10
// gelu, tanh approximation: x * (1 + tanh(y)) / 2 with y = sqrt(2 / pi) (x + 0.044715 x^3)
fn value(x: Item) -> Item {
  return 0.5 * x * (1.0 + bounded_tanh(0.7978845608028654 * x * (1.0 + 0.044715 * x * x)));
}
fn slope(x: Item) -> Item {
  let t = bounded_tanh(0.7978845608028654 * x * (1.0 + 0.044715 * x * x));
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x);
}
#end
#if KIND == 11
// exp
fn value(x: Item) -> Item { return exp(x); }
fn slope(x: Item) -> Item { return exp(x); }
#end
#if KIND == 12
// sqrt
fn value(x: Item) -> Item { return sqrt(x); }
fn slope(x: Item) -> Item { return 0.5 / sqrt(x); }
#end
#if KIND == 13
// reciprocal
fn value(x: Item) -> Item { return 1.0 / x; }
fn slope(x: Item) -> Item { return -1.0 / (x * x); }
#end
#if KIND == 14
#if POWER > 0
// pow with a whole exponent, POWER without its sign, for bases of any sign: WGSL's pow() takes none below 0
#if POWER > 16
/// x^n by squaring.
fn whole_power(x: Item, n: u32) -> Item {
  var product = Item(1.0);
  var factor = x;
  for (var bits = n; bits > 0u; bits >>= 1u) {
    if ((bits & 1u) != 0u) { product *= factor; }
    factor *= factor;
  }
  return product;
}
fn power(x: Item) -> Item { return whole_power(x, u32(POWER)); }
fn power_below(x: Item) -> Item { return whole_power(x, u32(POWER - 1)); }
#else
fn power(x: Item) -> Item {
  var product = x;
#for k in 1..POWER
  product *= x;
#end
  return product;
}
fn power_below(x: Item) -> Item {
  var product = Item(1.0);
#for k in 1..POWER
  product *= x;
#end
  return product;
}
#end
#if INVERSE
fn value(x: Item) -> Item { return 1.0 / power(x); }
fn slope(x: Item) -> Item { return ALPHA / (power(x) * x); }
#else
fn value(x: Item) -> Item { return power(x); }
fn slope(x: Item) -> Item { return ALPHA * power_below(x); }
#end
#else
// pow with the exponent ALPHA, for positive bases
fn value(x: Item) -> Item { return pow(x, Item(ALPHA)); }
fn slope(x: Item) -> Item { return ALPHA * pow(x, Item(ALPHA - 1.0)); }
#end
#end
#if KIND == 15
// pow with the exponent 0: 1, also of 0 and of NaN
fn value(x: Item) -> Item { return Item(1.0); }
fn slope(x: Item) -> Item { return Item(0.0); }
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#if BACKWARD
#if ACCUMULATE
    d_input[i] += d_output[i] * slope(input[i]);
#else
    d_input[i] = d_output[i] * slope(input[i]);
#end
#else
    output[i] = value(input[i]);
#end
  }
}
