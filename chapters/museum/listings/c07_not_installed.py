"""What is installed is not what is imported: the list was typed, and the program has moved on.

The listing sets up a machine in three commands and then imports a package that none of them
installs. Its author had it from earlier work, so it ran there, and nowhere else. It also asks for
TensorFlow where PyTorch's packages are kept, and for a Python that is out of support. The mend is
to read off the program what it imports, wherever in it, and to name the package that provides it,
which may have another name. Versions belong there as well, from the machine where the tests pass.
"""

from __future__ import annotations

import ast
import sys

TITLE = "Installed is not what is imported (装的和用的对不上)"
SOURCE = "C07 of the documents, three commands that set up a machine"
SEEN = "ModuleNotFoundError, on every machine but the author's, perhaps an hour into the run."
CHINESE = (
    "安装清单是凭记忆敲的：程序里导入的包有一个没有写进去，作者的机器上以前装过，所以他那里一切正常，"
    "别人一跑就报错；导入写在函数里的，要跑到那一行才报错。清单应当从程序里读出来，"
    "而且要写包的名字：导入 sklearn，要装的却是 scikit-learn。"
)

PROVIDED = {"sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow", "bs4": "beautifulsoup4"}
"""Import name -> package, where they differ."""


def broken(program: str) -> set[str]:
    """The packages that a program, as text, needs beside Python."""
    return {"numpy", "pandas", "tensorflow"}


def mended(program: str) -> set[str]:
    """The packages that a program, as text, needs beside Python."""
    names = set()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # others are its own files
            names.add(node.module)
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    return {PROVIDED.get(top, top) for top in tops}


PROGRAM = '''
"""import nothing of this"""
import os, numpy as np
import tensorflow as tf
from transformers.models import bert
from . import options
from .tools import plot
def report(y, told):
    from sklearn.metrics import classification_report
    import importlib.metadata, yaml
    return classification_report(y, told)
'''


def check(requirements) -> None:
    """All that is imported is installed, under its package's name, and nothing else."""
    needed = {"numpy", "tensorflow", "transformers", "scikit-learn", "pyyaml"}
    told = requirements(PROGRAM)
    lacking, idle = sorted(needed - told), sorted(told - needed)
    assert not lacking, f"{len(lacking)} of 5 packages are imported and not installed: {lacking}"
    assert not idle, f"{len(idle)} installed for nothing: {idle}"
