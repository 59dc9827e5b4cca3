"""Fixtures of the documents' tests: those of the book's."""

from __future__ import annotations

from pathlib import Path

import pytest

from minibook import MiniBook, built_site


@pytest.fixture
def mini_book(tmp_path: Path) -> MiniBook:
    return MiniBook(tmp_path / "course")


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built website."""
    return built_site()
