// The label of each row: the prototype with the largest product, counted from 1; of equal ones the first. A row to an
// invocation. rows [COUNT, LENGTH] and prototypes [CLUSTERS, LENGTH], of items. Joined behind elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> rows: array<Item>;
@group(0) @binding(1) var<storage, read_write> prototypes: array<Item>;
@group(0) @binding(2) var<storage, read_write> labels: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var row = first; row < end; row += RUN) {
    var most = -3.4028234663852886e38;
    var label = 0u;
    for (var cluster = 0u; cluster < CLUSTERS; cluster++) {
      var products = Item(0.0);
      for (var k = 0u; k < LENGTH; k++) { products += rows[row * LENGTH + k] * prototypes[cluster * LENGTH + k]; }
#if W == 4
      let product = dot(products, Item(1.0));
#else
      let product = products;
#end
      if (product > most) {
        most = product;
        label = cluster + 1u;
      }
    }
    labels[row] = f32(label);
  }
}
