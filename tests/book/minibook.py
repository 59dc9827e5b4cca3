"""Miniature books, built by the real build script with the real configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from project import ROOT

FRONT_MATTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""


@dataclass
class Built:
    """What one build said."""

    code: int
    log: str

    @property
    def executed(self) -> list[str]:
        """Names of the pages that were executed."""
        return sorted(Path(path).stem for path in re.findall(r"(\S+\.md): Executing notebook", self.log))


class MiniBook:
    """A book of tiny pages in a folder of its own, built by the real build script with the real configuration."""

    def __init__(self, root: Path):
        self.root = root
        (root / "book").mkdir(parents=True)
        for name in ("_ext", "_assets", "_tools"):  # the extension asks the tools
            shutil.copytree(
                ROOT / "book" / name, root / "book" / name, ignore=shutil.ignore_patterns("__pycache__", "vendor")
            )
        shutil.copyfile(ROOT / "_config.yml", root / "_config.yml")
        self.pages: list[str] = []
        (root / "book" / "references.bib").write_text("@misc{key2020, title={T}, author={B, A.}, year={2020}}\n")
        self.page("references", "# References\n\n{cite:p}`key2020`\n\n```{bibliography}\n```\n", notebook=False)

    def page(self, name: str, text: str, notebook: bool = True) -> None:
        """Write a page and list it."""
        (self.root / "book" / f"{name}.md").write_text((FRONT_MATTER if notebook else "") + text, encoding="utf-8")
        if name not in self.pages:
            self.pages.append(name)
        chapters = "".join(f"  - file: book/{page}\n" for page in self.pages[1:])
        toc = "format: jb-book\nroot: book/references\n" + (f"chapters:\n{chapters}" if chapters else "")
        (self.root / "_toc.yml").write_text(toc)

    def build(self, *options: str) -> Built:
        command = [sys.executable, str(ROOT / "book" / "_tools" / "build.py"), "--source", str(self.root), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        return Built(done.returncode, done.stdout + done.stderr)

    def html(self, name: str) -> str:
        return (self.root / "_build" / "html" / "book" / f"{name}.html").read_text(encoding="utf-8")


def cell(code: str) -> str:
    return f"```{{code-cell}} ipython3\n{code}\n```\n"


def built_site() -> Path:
    """The folder of the whole book's website, built now if it is not."""
    command = [sys.executable, str(ROOT / "book" / "_tools" / "build.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return ROOT / "_build" / "html"


@pytest.fixture
def mini_book(tmp_path: Path) -> MiniBook:
    """A small book of its own for one test."""
    return MiniBook(tmp_path / "course")


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built website. Building is instant where ``make book`` or another test has done it."""
    return built_site()
