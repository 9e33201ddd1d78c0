"""Floor 4: every op as a function on Tensors, with NumPy's names and argument names where NumPy has
the function.

It is also the `xp` of a backward pass that records a tape of its own, so what the backward of an op
calls by name is here: NumPy's functions under NumPy's names, and some that NumPy has not, such as
`sigmoid`, `erf` and `log_softmax`.
"""

import sys

from tinygrad_llm import tensor as _tensor
from tinygrad_llm.functional.attention import scaled_dot_product_attention
from tinygrad_llm.functional.comparisons import (
    all,
    any,
    equal,
    greater,
    greater_equal,
    isfinite,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from tinygrad_llm.functional.creation import (
    arange,
    eye,
    full,
    ones,
    ones_like,
    rand,
    randn,
    zeros,
    zeros_like,
)
from tinygrad_llm.functional.dropout import dropout
from tinygrad_llm.functional.elementwise import (
    abs,
    add,
    clip,
    cos,
    divide,
    erf,
    exp,
    expm1,
    gelu,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sign,
    silu,
    sin,
    softplus,
    sqrt,
    subtract,
    tanh,
    where,
)
from tinygrad_llm.functional.indexing import (
    embedding,
    getitem,
    plain_index,
    scatter,
    scatter_add,
    take_along_axis,
)
from tinygrad_llm.functional.linear_losses import linear_cross_entropy
from tinygrad_llm.functional.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    mse_loss,
)
from tinygrad_llm.functional.normalization import (
    add_layer_norm,
    add_rms_norm,
    layer_norm,
    rms_norm,
)
from tinygrad_llm.functional.products import einsum, linear, matmul
from tinygrad_llm.functional.reductions import (
    argmax,
    argmin,
    argsort,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    sort,
    std,
    sum,
    topk,
    var,
)
from tinygrad_llm.functional.shapes import (
    astype,
    broadcast_to,
    concatenate,
    copy,
    expand_dims,
    flip,
    pad,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    to,
    transpose,
    tril,
    triu,
)
from tinygrad_llm.functional.softmax import log_softmax, softmax

__all__ = [
    "abs", "add", "add_layer_norm", "add_rms_norm", "all", "any", "arange", "argmax", "argmin",
    "argsort", "astype", "binary_cross_entropy_with_logits", "broadcast_to", "clip", "concatenate",
    "copy", "cos", "cross_entropy", "cumsum", "divide", "dropout", "einsum", "embedding", "equal",
    "erf", "exp", "expand_dims", "expm1", "eye", "flip", "full", "gelu", "getitem", "greater",
    "greater_equal", "isfinite", "isnan", "kl_div", "layer_norm", "less", "less_equal", "linear",
    "linear_cross_entropy", "log", "log1p", "log_softmax", "logical_and", "logical_not",
    "logical_or", "logsumexp", "matmul", "max", "maximum", "mean", "min", "minimum", "mse_loss",
    "multiply", "negative", "norm", "not_equal", "ones", "ones_like", "pad", "plain_index", "power",
    "prod", "rand", "randn", "relu", "repeat", "reshape", "rms_norm", "roll",
    "scaled_dot_product_attention", "scatter", "scatter_add", "sigmoid", "sign", "silu", "sin",
    "softmax", "softplus", "sort", "split", "sqrt", "squeeze", "stack", "std", "subtract", "sum",
    "swapaxes", "take_along_axis", "tanh", "to", "topk", "transpose", "tril", "triu", "var",
    "where", "zeros", "zeros_like",
]  # fmt: skip

_tensor.register(sys.modules[__name__])
