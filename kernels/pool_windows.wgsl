// The windows of a pooling layer that hold a position, along one axis: first_window(..) up to, without, end_window(..).
// Joined in front of average_pool.wgsl and max_pool.wgsl, whose gradients gather.

fn first_window(at: u32, kernel: u32) -> u32 { return (max(at + PAD + STRIDE, kernel) - kernel) / STRIDE; }

fn end_window(at: u32, windows: u32) -> u32 { return min((at + PAD) / STRIDE + 1u, windows); }
