"""How much memory this process has taken so far, as the operating system counts it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int | None:
    """The most bytes that were in memory at one time since the process began, libraries included;
    None where the system does not say (Windows)."""
    # Linux' ru_maxrss begins with that of the process which started this one.
    high = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
    if high:
        return 1024 * int(high[1])
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
