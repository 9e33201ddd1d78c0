"""Fixtures of the tests of fine-tuning by the command: what is tuned, on which rows, quickly."""

from __future__ import annotations

import pytest

from tests.cli.folders import rows_file, save_tuning_start


@pytest.fixture(scope="session")
def start(tmp_path_factory) -> str:
    """The folder of a small pretrained BERT."""
    return save_tuning_start(tmp_path_factory.mktemp("start"))


@pytest.fixture
def rows(tmp_path) -> str:
    return rows_file(tmp_path / "rows.tsv")


@pytest.fixture
def quick(monkeypatch) -> None:
    """Pictures without ink and few bootstrap samples: what they look like others test."""
    monkeypatch.setattr("tinygrad_llm.finetune.measures.DRAWS", 20)
    ink = b"\x89PNG"
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **how: file.write(ink))
