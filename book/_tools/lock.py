"""Write the lower part of requirements.txt: everything that the direct dependencies pull in, pinned.

    python book/_tools/lock.py              keep the versions that are there, add and remove what is needed
    python book/_tools/lock.py --upgrade    take the newest version of each

The upper part is written by hand. uv resolves it for every Python from 3.11 on and for Linux, macOS and Windows at
once; what only some of them need carries a marker. Left out is what only the CUDA build of PyTorch needs: which
build pip takes is the machine's affair, and PyTorch itself names the versions that it wants.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
MARK = "# ---- pulled in by the above; written by `make lock`, do not edit below this line ----"
OLDEST = "3.11"
CUDA = re.compile(r"^(nvidia|cuda)-|^triton\b")


def requirements(text: str) -> list[Requirement]:
    """The requirements of a file, comments and options left out."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def direct(text: str) -> list[Requirement]:
    """The requirements of the part that is written by hand."""
    return requirements(text.partition(MARK)[0])


def locked(text: str, upgrade: bool = False) -> str:
    """The file with its lower part resolved anew. Needs a network, or an index on the disk."""
    head = text.partition(MARK)[0].rstrip()
    with tempfile.TemporaryDirectory() as folder:
        asked, pins = Path(folder) / "asked.in", Path(folder) / "pins.txt"
        asked.write_text(head + "\n", encoding="utf-8")
        pins.write_text(text, encoding="utf-8")  # versions that are there already are kept
        command = [*uv(), "pip", "compile", "--universal", "--python-version", OLDEST, "--quiet"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--upgrade"] if upgrade else []
        done = subprocess.run([*command, "--output-file", str(pins), str(asked)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"The requirements could not be resolved:\n{done.stderr.strip()}")
        lines = pins.read_text(encoding="utf-8").splitlines()
    own = {canonicalize_name(requirement.name) for requirement in direct(text)}
    kept = [line for line in lines if not CUDA.match(line) and canonicalize_name(Requirement(line).name) not in own]
    return "\n".join([head, "", MARK, *kept, ""])


def uv() -> list[str]:
    beside = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    return [beside] if beside else sys.exit("uv is missing: run make env first")


def differences(text: str) -> list[str]:
    """How the environment that runs this differs from the pins that are meant for it, one sentence each."""
    pinned = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in requirements(text)
        if pin.marker is None or pin.marker.evaluate()
    }
    missing = sorted(name for name in closure(direct(text)) - set(pinned) if not CUDA.match(name))
    found = [f"{name} is needed here and not pinned" for name in missing]
    for name, version in sorted(pinned.items()):
        try:
            # A build for one kind of hardware says so after a plus: 2.13.0+cpu.
            installed = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found.append(f"{name} {version} is pinned and not installed")
            continue
        if installed != version:
            found.append(f"{name} {version} is pinned and {installed} is installed")
    return found


def closure(roots: list[Requirement]) -> set[str]:
    """The name of every package that ``roots`` need on this system, themselves included."""
    found: set[str] = set()
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
            found.add(name)
            try:
                needs = metadata.distribution(name).requires or ()
            except metadata.PackageNotFoundError:  # `differences` says so, if it is pinned
                continue
            pending += [(Requirement(line), extra) for line in needs]
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    path = ROOT / "requirements.txt"
    before = path.read_text(encoding="utf-8")
    after = locked(before, parser.parse_args(arguments).upgrade)
    if after != before:
        part = path.with_suffix(".part")
        part.write_text(after, encoding="utf-8", newline="\n")
        part.replace(path)
    print(f"requirements.txt: {'written' if after != before else 'unchanged'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
