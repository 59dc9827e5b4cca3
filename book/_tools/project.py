"""What the tools know about the project: where things lie, the pages in order, the repository's address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Project:
    """A checkout of the course (or a miniature of it, in tests)."""

    root: Path = ROOT

    @cached_property
    def config(self) -> dict:
        return yaml.safe_load((self.root / "_config.yml").read_text(encoding="utf-8"))

    @cached_property
    def toc(self) -> dict:
        return yaml.safe_load((self.root / "_toc.yml").read_text(encoding="utf-8"))

    @property
    def repository(self) -> str:
        """The repository's address, from the one place where it stands."""
        return self.config["repository"]["url"].rstrip("/")

    @property
    def branch(self) -> str:
        return self.config["repository"]["branch"]

    @property
    def site(self) -> str:
        """The address of the published book: GitHub Pages of the repository."""
        owner, name = urlsplit(self.repository).path.strip("/").split("/")
        return f"https://{owner.lower()}.github.io/{name}"

    @property
    def raw(self) -> str:
        """Where a file of the repository can be fetched as it is."""
        return f"{self.repository}/raw/{self.branch}"

    @property
    def install_command(self) -> str:
        """What pip is given to install the library from the repository."""
        return f"git+{self.repository}@{self.branch}#subdirectory=lib"

    @cached_property
    def pages(self) -> dict[str, Path]:
        """Every listed page in reading order, by name (``adam``)."""
        listed = [self.toc["root"]]
        for part in (*self.toc.get("parts", ()), self.toc):
            listed += [chapter["file"] for chapter in part.get("chapters", ())]
        return {Path(name).name: self.root / f"{name}.md" for name in listed}

    @cached_property
    def chapter_numbers(self) -> dict[str, int]:
        """The number of each chapter in a numbered part, counted through."""
        numbers: dict[str, int] = {}
        for part in self.toc.get("parts", ()):
            if part.get("numbered"):
                for chapter in part["chapters"]:
                    numbers[Path(chapter["file"]).name] = len(numbers) + 1
        return numbers

    def is_notebook(self, page: Path) -> bool:
        """Whether a page is a notebook: its front matter names a kernel."""
        return bool(re.match(r"---\n(?:.*\n)*?kernelspec:\n(?:.*\n)*?---\n", page.read_text(encoding="utf-8")))
