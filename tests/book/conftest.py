"""Fixtures of the book's tests: the built site, and miniature books."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from minibook import MiniBook
from project import ROOT


@pytest.fixture
def mini_book(tmp_path: Path) -> MiniBook:
    return MiniBook(tmp_path / "course")


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built website. Building is instant where ``make book`` or another test has done it."""
    command = [sys.executable, str(ROOT / "book" / "_tools" / "build.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return ROOT / "_build" / "html"
