"""The installation is tried by an import: that works, and the first model does not.

The shell lines install one library, and neither torch nor scikit-learn, which the program uses. A
large library imports its parts when they are first needed, so `import transformers` succeeds
without torch, tokenizers work, and the data are read and cut for a quarter of an hour before the
first model says what is missing. The mend is to try what the program does, all of it, on two rows.
(How the packages are read off a program is on the page of C07.)
"""

from __future__ import annotations

from collections.abc import Set
from itertools import combinations

TITLE = "An import that proves nothing (能导入不等于能运行)"
SOURCE = "C20 of the documents, four lines of shell before a fine-tuning program"
SEEN = "The installation ends well, and the import works. The program stops at its first model."
CHINESE = (
    "安装说明只装了一个库，torch 和 scikit-learn 都没有装。可是 `import transformers` 照样成功："
    "大的库用到哪一部分才去导入哪一部分，分词也正常，数据处理了一刻钟，建第一个模型时才报错。"
    "“能导入”说明不了什么。正式运行之前，应当用两行数据把整个程序从头到尾走一遍："
    "划分、分词、建模型、训练一步。"
)

STEPS = {"tokenize": ("transformers",), "split": ("sklearn",), "train": ("transformers", "torch")}
"""What the program does, and the modules that each step imports when it is first called."""


class Machine:
    """A computer on which these modules are installed."""

    def __init__(self, modules: Set[str]):
        self.modules = modules

    def load(self, name: str) -> None:
        """Import a module. Raises ModuleNotFoundError as Python does."""
        if name not in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def run(self, step: str) -> None:
        """A step of the program, on two rows."""
        for name in STEPS[step]:
            self.load(name)


def broken(machine: Machine) -> bool:
    """Whether the machine is ready for the program."""
    try:
        machine.load("transformers")
    except ModuleNotFoundError:
        return False
    return True


def mended(machine: Machine) -> bool:
    """Whether the machine is ready for the program."""
    try:
        for step in STEPS:
            machine.run(step)
    except ModuleNotFoundError:
        return False
    return True


def check(ready) -> None:
    """Only the machine with all that the program uses is called ready."""
    names = ("transformers", "torch", "sklearn")
    sets = [set(some) for size in range(4) for some in combinations(names, size)]
    called = [modules for modules in sets if ready(Machine(modules))]
    wrong = [modules for modules in called if len(modules) < len(names)]
    lacking = sorted({name for modules in wrong for name in names if name not in modules})
    assert not wrong, (
        f"of {len(sets)} machines {len(called)} are called ready, {len(wrong)} of them without "
        f"{' or '.join(lacking)}"
    )
    assert called, f"of {len(sets)} machines none is called ready, and one has everything"
