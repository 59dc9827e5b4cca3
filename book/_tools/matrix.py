"""Run the fast tests on every Python that is found, and on the oldest and newest packages that lib/ allows.

    python book/_tools/matrix.py                    all of it; prints a table
    python book/_tools/matrix.py 3.12 oldest        only these
    python book/_tools/matrix.py 3.13 --keep        leave the environments in _build/matrix for the next time

``3.11``, ``3.12``, ``3.13``: the pinned versions, installed as ``make env`` does, and all fast tests. ``oldest`` and
``newest``: the library alone, on the oldest Python with the oldest packages that lib/pyproject.toml allows, and on the
newest with the newest; the fast tests of the library. Which build of PyTorch pip took stands in the table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from environment import python_of
from lock import ROOT, requirements, uv

PYTHONS = ("3.11", "3.12", "3.13")
RANGES = {"oldest": ("3.11", "lowest-direct"), "newest": ("3.13", "highest")}
TOOLS = ("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "expecttest", "setuptools")
FOLDER = ROOT / "_build" / "matrix"


def interpreter(version: str) -> str | None:
    """A Python of this version: the one that runs this, one on the PATH, one of pyenv's, or what `py` knows."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return getattr(sys, "_base_executable", sys.executable)
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
    candidates = [[path] for path in (shutil.which(f"python{version}"), *map(str, reversed(installed))) if path]
    if shutil.which("py"):
        candidates.append(["py", f"-{version}"])
    for command in candidates:  # a name may be there and not work: pyenv's are placeholders
        asked = [*command, "-c", "import sys; print(sys.executable, '%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.split()[-1] == version:
            return done.stdout.rsplit(" ", 1)[0]
    return None


def run(*command: str | Path, log: Path) -> bool:
    with log.open("a", encoding="utf-8") as out:
        out.write(f"$ {' '.join(map(str, command))}\n")
        out.flush()
        env = {"OMP_NUM_THREADS": "1", **os.environ}
        return subprocess.run(list(map(str, command)), cwd=ROOT, stdout=out, stderr=out, env=env).returncode == 0


def install(name: str, python: str, venv: Path, log: Path) -> bool:
    """Make the environment: as ``make env`` does, or the library alone at one end of its ranges."""
    if name in PYTHONS:
        return run(python, ROOT / "book" / "_tools" / "environment.py", venv.relative_to(ROOT).as_posix(), log=log)
    pins = {pin.name: str(pin) for pin in requirements((ROOT / "requirements.txt").read_text(encoding="utf-8"))}
    into = [*uv(), "pip", "install", "--quiet", "--python", str(python_of(venv))]
    for pip, ours in (("PIP_FIND_LINKS", "UV_FIND_LINKS"), ("PIP_EXTRA_INDEX_URL", "UV_INDEX")):
        if pip in os.environ:  # where pip finds PyTorch, uv does too
            os.environ.setdefault(ours, os.environ[pip])
    return (
        run(*uv(), "venv", "--quiet", "--clear", "--python", python, venv, log=log)
        and run(*into, "--resolution", RANGES[name][1], "-e", f"{ROOT / 'lib'}[cluster]", log=log)
        and run(*into, *(pins[tool] for tool in TOOLS), log=log)
    )


def row(name: str, keep: bool) -> tuple[str, str, str, str, str]:
    """One line of the table: environment, Python, PyTorch, what the tests said, minutes."""
    version = RANGES[name][0] if name in RANGES else name
    python = interpreter(version)
    if python is None:
        return name, version, "", "no such Python here", ""
    venv, log = FOLDER / name, FOLDER / f"{name}.log"
    FOLDER.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    started = time.monotonic()
    print(f"{name}: {python} (log: {log})", file=sys.stderr, flush=True)
    if not install(name, python, venv, log):
        return name, version, "", f"could not be installed: {log}", minutes(started)
    what = "import platform, torch; print(platform.python_version(), torch.__version__)"
    found = subprocess.run([python_of(venv), "-c", what], capture_output=True, text=True).stdout.split()
    tests = [] if name in PYTHONS else ["tests/lib"]
    marked = ["-m", "not slow and not browser", "-p", "no:cacheprovider", "-n", "auto", "--dist", "loadgroup"]
    passed = run(python_of(venv), "-m", "pytest", "-q", *marked, *tests, log=log)
    last = log.read_text(encoding="utf-8").strip().splitlines()[-1].strip("= ")
    if not keep:
        shutil.rmtree(venv, ignore_errors=True)
    said = last if passed else f"FAILED: {last}"
    return name, *(found if len(found) == 2 else (version, "?")), said, minutes(started)


def minutes(started: float) -> str:
    return f"{(time.monotonic() - started) / 60:.1f} min"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join((*PYTHONS, *RANGES))}; default: all")
    parser.add_argument("--keep", action="store_true", help="keep the environments")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {*PYTHONS, *RANGES}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join((*PYTHONS, *RANGES))}")
    table = [row(name, options.keep) for name in options.names or (*PYTHONS, *RANGES)]
    print("| environment | Python | PyTorch | fast tests | time |\n|---|---|---|---|---|")
    for cells in table:
        print("| " + " | ".join(cells) + " |")
    bad = [cells for cells in table if "FAILED" in cells[3] or "could not" in cells[3]]
    return 1 if bad or not any(" passed" in cells[3] for cells in table) else 0


if __name__ == "__main__":
    sys.exit(main())
