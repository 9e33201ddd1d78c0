"""Runs that a command goes on with: the options in their folder, and the line that does it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def saved_options(values: Mapping[str, Any], settings: type) -> dict[str, Any]:
    """With --resume among the values given, the options of the run in --out, as the settings class
    has them; else {}.

    Raises ValueError for a folder without a run, and for an options.json that is of other settings,
    or broken.
    """
    if not values.get("resume") or "out" not in values:
        return {}
    from tinygrad_llm.training.runs import OPTIONS

    path = Path(values["out"], OPTIONS)
    try:
        found = json.loads(path.read_text("utf-8"))["options"]
        return settings(**found).to_dict()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{values['out']} has no run to go on with: leave --resume out") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is of no run of ours, or broken: give another --out") from error


def command(*words: str) -> str:
    """A line for a shell."""
    return f"tinygrad-llm {shlex.join(words)}"
