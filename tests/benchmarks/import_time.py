"""How long `import tinygrad_llm` takes on top of `import numpy`, in processes of their own.

    python -m tests.benchmarks.import_time [--repeats 15] [--json FILE]

The two are timed inside the process, in turn; medians are printed.
"""

from __future__ import annotations

import statistics

from chapters import options
from tests.benchmarks import commands
from tests.benchmarks.environment import fresh_process, machine
from tinygrad_llm.files import write_json

PROGRAM = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import tinygrad_llm
print(middle - start, time.perf_counter() - middle)
"""


def main(arguments: list[str]) -> int:
    """0; wrong usage exits with 2."""
    parser = options.Parser(
        prog="python -m tests.benchmarks.import_time", description=__doc__.splitlines()[0]
    )
    commands.add_options(parser, repeats=15)
    given = parser.parse_args(arguments)
    commands.check(parser, given)
    about, repeats = machine(), given.repeats
    times = [list(map(float, fresh_process(["-c", PROGRAM]).split())) for _ in range(repeats)]
    numpy_s, ours_s = (statistics.median(column) for column in zip(*times))
    worst = max(ours for _, ours in times)
    if given.json:
        write_json(given.json, {"machine": about, "seconds": times})
    print(about)
    print(f"import numpy takes {numpy_s:.3f} s, import tinygrad_llm {ours_s:.3f} s more")
    print(f"(medians of {repeats}; {worst:.3f} s at worst)")
    return 0


if __name__ == "__main__":
    commands.run(main)
