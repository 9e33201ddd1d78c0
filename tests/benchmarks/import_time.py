"""How long `import tinygrad_llm` takes on top of `import numpy`, in processes of their own.

    python -m tests.benchmarks.import_time [--repeats 15]

The two are timed inside the process, in turn; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics

from tests.benchmarks.environment import fresh_process, machine

PROGRAM = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import tinygrad_llm
print(middle - start, time.perf_counter() - middle)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    times = [list(map(float, fresh_process(["-c", PROGRAM]).split())) for _ in range(repeats)]
    numpy_s, ours_s = (statistics.median(column) for column in zip(*times))
    worst = max(ours for _, ours in times)
    print(machine())
    print(f"import numpy takes {numpy_s:.3f} s, import tinygrad_llm {ours_s:.3f} s more")
    print(f"(medians of {repeats}; {worst:.3f} s at worst)")


if __name__ == "__main__":
    main()
