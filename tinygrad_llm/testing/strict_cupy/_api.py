"""What CuPy 14 offers, read from cupy_api.json: names, parameters, dtypes and ufunc loops."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np

API: dict[str, Any] = json.loads(Path(__file__).with_name("cupy_api.json").read_text("utf-8"))
"""The record that tests/fixtures/make_cupy_api.py took from CuPy itself."""

DTYPES = frozenset(np.dtype(name) for name in API["dtypes"])
"""The dtypes that a device array can have."""

KNOWN_NAMES = {
    "cupy": {*API["numpy_objects"], *API["functions"], *API["ufuncs"], *API["other_names"]},
    "cupy.cuda": set(API["cuda"]),
    "cupy.cuda.runtime": set(API["cuda.runtime"]),
}
"""Every public name of CuPy's modules."""


def missing_name(module: str, name: str) -> str:
    """The message for a name that CuPy lacks, or that it has and the stand-in does not."""
    if name in KNOWN_NAMES[module]:
        return f"{module}.{name} exists in CuPy {API['cupy_version']}, but not in the stand-in"
    return f"{module} has no attribute {name!r}"


def missing_attribute(name: str) -> str:
    """The same message for an attribute of `cupy.ndarray`."""
    if name in API["ndarray_methods"] or name in API["ndarray_attributes"]:
        return f"cupy.ndarray.{name} exists in CuPy, but the stand-in's arrays have no {name!r}"
    return f"cupy.ndarray has no attribute {name!r}"


def signature(words: str) -> inspect.Signature:
    """The signature that a line of the record describes: `"a axis= * dtype="`, say."""
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters: list[inspect.Parameter] = []
    for word in words.split():
        name = word.strip("*=")
        if word == "/":
            parameters = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) for p in parameters]
        elif word.startswith("**"):
            parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_KEYWORD))
        elif word.startswith("*"):
            kind = inspect.Parameter.KEYWORD_ONLY
            if name:
                parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_POSITIONAL))
        else:
            default = None if word.endswith("=") else inspect.Parameter.empty
            parameters.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(parameters)
