"""A line for the notebook in a script: `!pip` is no Python, and what removes it may remove more.

In a notebook a line that begins with ! goes to the shell. In a file it is a SyntaxError, and no
line of the program is run. The obvious repair, to leave out the lines with a !, takes `!=` as well:
then a test of the data is gone, and nobody is told. The other one, to call pip from the program,
installs at every start, whatever is the newest that day. The mend is to keep the two apart: the
packages, with their versions, in a file of requirements, and in the program what is Python.
"""

from __future__ import annotations

import ast
import builtins
import io
from contextlib import redirect_stdout

TITLE = "A notebook's line in a script (脚本里写了笔记本命令)"
SOURCE = "C16 of the documents, the installation of a library at the head of a program"
SEEN = "As a file the program stops at once, with a SyntaxError; in the notebook it ran."
CHINESE = (
    "笔记本里以 ! 开头的行交给命令行执行，放进 .py 文件就是语法错误，整个程序一行也不会运行。"
    "顺手的改法是把带 ! 的行都删掉，可 `!=` 也带 !：检查数据的那一行跟着没了，谁也不知道。"
    "另一种改法是在程序里调用 pip：每次启动都要安装，装的还是当天最新的版本。"
    "正确做法是分开：要装的包连同版本写进依赖文件，程序里只留 Python。"
)

CELL = """!pip install -q numpy==2.0.0 tqdm==4.66.4
lengths = [4, 0, 7]
lengths = [n for n in lengths if n != 0]
print(len(lengths), 7 % 4)"""


def broken(cell: str) -> tuple[str, list[str]]:
    """The program of a notebook's cell, and the packages to be installed before it."""
    return cell, []


def mended(cell: str) -> tuple[str, list[str]]:
    """The program of a notebook's cell, and the packages to be installed before it."""
    lines = cell.splitlines()
    program = [line for line in lines if not line.startswith(("!", "%"))]
    calls = [line[1:].split() for line in lines if line not in program]
    asked = [word for call in calls if call[:2] == ["pip", "install"] for word in call[2:]]
    return "\n".join(program), [word for word in asked if word[0] != "-"]


def said_by(program: str) -> str:
    """What it prints, without any import."""
    safe = {name: getattr(builtins, name) for name in ("len", "print")}
    with redirect_stdout(io.StringIO()) as out:
        exec(compile(program, "cell.py", "exec"), {"__builtins__": safe})
    return out.getvalue()


def check(script_of) -> None:
    """The program is Python, does what the cell did, and leaves the packages to others."""
    program, packages = script_of(CELL)
    try:
        tree = ast.parse(program)
    except SyntaxError as error:
        line = f"line {error.lineno} of {len(CELL.splitlines())}"
        raise AssertionError(f"{line} is no Python: {error.msg}") from None
    calls = sum("pip" in ast.dump(each) for each in tree.body)
    assert calls == 0, f"{calls} of {len(tree.body)} statements call pip, at every start"
    said = said_by(program).strip()
    assert said == "2 3", f"the cell printed 2 3, and the program prints {said or 'nothing'}"
    wanted = ["numpy==2.0.0", "tqdm==4.66.4"]
    told = sum(name in packages for name in wanted)
    assert packages == wanted, f"{told} of {len(wanted)} packages are asked for, as {packages}"
