// High 32 bits of a product, for devices with integers of 64 bits. The low bits are better not taken from the same product:
// Mesa's LLVM knows it for one instruction of vectors only where nothing but the upper half is wanted.

fn multiply_high(a: u32, b: u32) -> u32 { return u32((u64(a) * u64(b)) >> 32u); }
