"""What the tests of labelled rows share: files, and the line by which one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinygrad_llm.finetune.rows import Part, read_data

GOOD = "a0\tx\nb0\ty\n"
JSON_GOOD = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'


def write(folder: Path, content: str | bytes, name: str = "rows.tsv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def tsv(labels: Any, text: str = "text {}") -> str:
    """Rows with different texts."""
    return "".join(f"{text.format(i)}\t{label}\n" for i, label in enumerate(labels))


def jsonl(rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def refused(*paths: Any, **options: Any) -> str:
    """The one line by which the files are refused."""
    with pytest.raises(ValueError) as caught:
        read_data(*paths, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def pairs(part: Part) -> list[tuple[Any, ...]]:
    seconds = part.seconds or [None] * len(part.texts)
    return list(zip(part.texts, seconds, part.labels.tolist(), part.lines))
