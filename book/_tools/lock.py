"""Write the lower part of requirements.txt: everything that the direct dependencies pull in, pinned as installed.

The upper part is written by hand. To move to newer versions: change it, delete the lower part, make
the environment anew (`make clean; rm -rf .venv; make env`), then `make lock` and run the tests.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
MARK = "# ---- pulled in by the above; written by `make lock`, do not edit below this line ----"


def direct(text: str) -> list[Requirement]:
    """The requirements of the part that is written by hand."""
    head = text.partition(MARK)[0]
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in head.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def closure(roots: list[Requirement]) -> dict[str, str]:
    """Name and installed version of every package that ``roots`` need on this system, themselves left out."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    pending = [(root, "") for root in roots]
    while pending:
        requirement, parent_extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": parent_extra}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            package = metadata.distribution(name)
            found[name] = package.version.partition("+")[0]
            pending += [(Requirement(line), extra) for line in package.requires or ()]
    for root in roots:
        found.pop(canonicalize_name(root.name), None)
    return found


def locked(text: str) -> str:
    head = text.partition(MARK)[0].rstrip()
    pins = [f"{name}=={version}" for name, version in sorted(closure(direct(text)).items())]
    return "\n".join([head, "", MARK, *pins, ""])


if __name__ == "__main__":
    path = ROOT / "requirements.txt"
    before = path.read_text(encoding="utf-8")
    after = locked(before)
    if after != before:
        path.write_text(after, encoding="utf-8")
    print(f"requirements.txt: {'written' if after != before else 'unchanged'}", file=sys.stderr)
