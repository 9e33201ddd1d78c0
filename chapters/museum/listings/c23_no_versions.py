"""Packages without versions: the same lines install another program on another day.

A name alone means the newest of that day, and `>=` means it too. What is printed in an article was
run with one set of versions, which nobody wrote down. And names that are fixed bring others that
are not: a package fixed to the digit still takes the newest numpy. The mend is to write down the
version of everything that is installed, what came along included, and to keep that file with the
program. The listing asks for Python "3.7 or newer" in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

TITLE = "Packages without versions (依赖没有锁定版本)"
SOURCE = "C23 of the documents, three lines of shell before a classifier"
SEEN = "Nothing on the day of writing. A year later there are errors, or other numbers."
CHINESE = (
    "只写包名，装的就是当天最新的版本，写成 `>=` 也一样。文章里的结果是用某一组版本跑出来的，"
    "却没有人记下来；一年以后照着装，要么报错，要么数字不同，而程序一个字都没改。"
    "只锁定直接用到的包还不够：它们带进来的包（例如 numpy）照样会变。"
    "应当把装上的每一个包、连同顺带装进来的，都写成确切的版本，和程序放在一起。"
)

Version = tuple[int, ...]

NEWEST: Sequence[dict[str, Version]] = (
    {"transformers": (4, 40, 2), "torch": (2, 3, 0), "numpy": (1, 26, 4)},
    {"transformers": (4, 48, 0), "torch": (2, 5, 1), "numpy": (2, 2, 1)},
)
"""The newest versions on two days, for an example; those of the first day can still be had."""

BRINGS = {"transformers": ("numpy",), "torch": ()}


def broken() -> list[str]:
    """The lines of a file of requirements."""
    return ["transformers", "torch"]


def mended() -> list[str]:
    """The lines of a file of requirements."""
    return ["transformers==4.40.2", "torch==2.3.0", "numpy==1.26.4"]


def numbers(version: str) -> Version:
    """4.40.2 as (4, 40, 2)."""
    return tuple(map(int, version.split(".")))


def chosen(line: str, newest: dict[str, Version]) -> tuple[str, Version]:
    """A package and the version that is installed for a line: NAME, NAME==1.2 or NAME>=1.2."""
    name, _, exact = line.partition("==")
    if exact:
        return name, numbers(exact)
    name = name.partition(">=")[0]
    return name, newest[name]


def installed(lines: Sequence[str], newest: dict[str, Version]) -> dict[str, Version]:
    """All packages, and their versions, that the lines install on a day."""
    asked = dict(chosen(line, newest) for line in lines)
    brought = {other: newest[other] for name in asked for other in BRINGS.get(name, ())}
    return brought | asked


def check(requirements) -> None:
    """On both days the same is installed, and it is all that the program needs."""
    first, later = (installed(requirements(), newest) for newest in NEWEST)
    other = [name for name in first if first[name] != later[name]]
    was, now = ([".".join(map(str, day[name])) for name in other] for day in (first, later))
    changes = ", ".join(f"{name} {a} → {b}" for name, a, b in zip(other, was, now))
    assert not other, f"{len(other)} of {len(first)} packages are others on another day: {changes}"
    missing = sorted({"transformers", "torch"} - first.keys())
    assert not missing, f"{len(missing)} of 2 packages are not installed: {', '.join(missing)}"
