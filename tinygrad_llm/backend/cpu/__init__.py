"""Faster forms of ops for NumPy arrays of float32, by the names of the ops; each has its reference
in `ops`, to which it is equal but for rounding, and against which it is tested.

What makes them faster: results are written where the inputs of the last step lie (`out=`), long
arrays are worked on in tiles that stay in the cache, and sums are matrix products with ones.
"""

from tinygrad_llm.backend.cpu import attention, gelu, head, linear, memory, norms, relu
from tinygrad_llm.backend.overrides import Override

OVERRIDES: dict[str, Override] = {
    "linear": Override(linear.forward, linear.backward),
    "linearrelu": Override(relu.forward, relu.backward),
    "gelu": Override(gelu.forward, gelu.backward),
    "gelutanh": Override(gelu.forward_tanh, gelu.backward),
    "lineargelu": Override(gelu.linear_forward, gelu.linear_backward),
    "lineargelutanh": Override(gelu.linear_forward_tanh, gelu.linear_backward),
    "layernorm": Override(norms.layer_forward, norms.layer_backward),
    "addlayernorm": Override(norms.add_layer_forward, norms.add_layer_backward),
    "rmsnorm": Override(norms.rms_forward, norms.rms_backward),
    "addrmsnorm": Override(norms.add_rms_forward, norms.add_rms_backward),
    "scaleddotproductattention": Override(attention.forward, attention.backward),
    "linearcrossentropy": Override(head.forward, head.backward),
}
"""By the name of the op."""

memory.keep_freed()
