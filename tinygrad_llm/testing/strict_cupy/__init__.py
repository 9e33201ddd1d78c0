"""A strict stand-in for the `cupy` module over NumPy, which fails where CuPy would fail.

It runs the device path of a program on a machine without a GPU:

    with installed() as cupy:
        ...  # `import cupy` finds the stand-in here

What differs from NumPy, as it does on a GPU:

- only the names, keywords, dtypes and ufunc loops exist that CuPy 14 has (cupy_api.json);
- NumPy arrays and lists do not mix with device arrays, and no NumPy function takes a device array
  (CuPy would dispatch some of them in silence);
- every result is a device array, 0-d ones too; what makes the host wait is counted;
- integer indices beyond the end wrap around; two values for one element raise an error, because
  the device stores any one of them;
- views, `base`, strides and contiguity are CuPy's; a new array without values holds NaN;
- division by zero and the like give no warning.

What it cannot show: the order in which a device adds (the values are NumPy's to the bit), races,
memory limits, denormals (a GPU may flush them to zero; here they stay) and time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tinygrad_llm.testing.strict_cupy._array import ndarray
from tinygrad_llm.testing.strict_cupy._module import cuda, module, runtime
from tinygrad_llm.testing.strict_cupy._sync import count_synchronizations, synchronizations

__all__ = ["count_synchronizations", "installed", "module", "ndarray", "synchronizations"]


@contextmanager
def installed() -> Iterator[ModuleType]:
    """Inside the block, `import cupy` gives the stand-in, which is yielded too.

    What `sys.modules` held for CuPy before is there again afterwards.
    """
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_cupy(name)}
    sys.modules.update({part.__name__: part for part in (module, cuda, runtime)})
    try:
        yield module
    finally:
        for name in [name for name in sys.modules if _is_cupy(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_cupy(name: str) -> bool:
    return name == "cupy" or name.startswith("cupy.")
