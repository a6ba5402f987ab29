// Operand types of the matrix-product kernels, in front of which this is joined: NV columns to a lane, AV channels to a
// load.

#if NV == 4
alias Columns = vec4<f32>;
#else
#if NV == 2
alias Columns = vec2<f32>;
#else
alias Columns = f32;
#end
#end
#if AV == 4
alias Channels = vec4<f32>;
#else
alias Channels = f32;
#end
