"""The project as a whole: README code runs, packages are declared, floors hold, style and types."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_llm"

FLOORS = {
    "_text": 0,
    "backend": 0,
    "files": 0,
    "ops": 1,
    "anomaly": 1,
    "graph": 2,
    "tensor": 3,
    "functional": 4,
    "autograd": 5,
    "checkpoint": 5,
    "nn": 6,
    "optim": 6,
    "data": 6,
    "tokenizers": 6,
    "models": 7,
    "diagnostics": 7,
    "metrics": 7,
    "training": 8,
    "generation": 8,
    "plot": 8,
    "pretrain": 9,
    "finetune": 9,
    "cli": 10,
}
"""Which floor each module of the package is on: it imports from lower floors and from itself."""

BESIDE = {"testing", "formulas", "profile", "__init__"}
"""May import anything."""


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_python_in_the_readme_runs_and_prints_what_stands_below_it(readme, capsys):
    text = (ROOT / readme).read_text(encoding="utf8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    space: dict = {}
    for block in blocks:
        exec(block, space)
        said = "".join(f"{line}\n" for line in re.findall(r"^# (.*)$", block, re.M))
        assert capsys.readouterr().out == said
    assert space["second"].tolist() == pytest.approx([3.0, 6.0])
    assert float(space["right"].astype("float32").mean()) > 0.95


def test_both_readmes_give_the_same_commands():
    blocks = [
        re.findall(r"```(?:bash|powershell|python)\n(.*?)```", text, re.S)
        for text in (
            (ROOT / name).read_text(encoding="utf8") for name in ("README.md", "README.zh-CN.md")
        )
    ]
    assert blocks[0] == blocks[1]


def test_every_package_is_declared():
    declared = set(re.findall(r'"(tinygrad_llm[\w.]*)",', (ROOT / "pyproject.toml").read_text()))
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert declared == found


def _imports(path: Path) -> set[str]:
    """Rooms of the package that a file imports from."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tinygrad_"):
            parts = node.module.split(".")[1:]
            rooms |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [a.name.split(".") for a in node.names]
            rooms |= {n[1] for n in names if n[0] == "tinygrad_llm" and len(n) > 1}
    return rooms


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_a_module_imports_from_lower_floors_only(path):
    room = _room(path)
    if room in BESIDE:
        return
    assert room in FLOORS, f"{room} has no floor"
    for other in _imports(path) - {room}:
        assert FLOORS.get(other, 99) < FLOORS[room], f"{room} imports {other}"


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_style_and_types(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
