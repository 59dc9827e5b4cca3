"""Copy what students may see into a clone of their repository, and commit it there.

    python exercises/_tools/publish.py ../students-repo [NAME ...]

Copies the releases (all, or the named assignments), the library and the files that the notebooks need to run anywhere,
replaces what an earlier call put there, and commits. It does not push: look first, then ``git push``. It refuses a
folder that is no clone of its own, a release that is not as derived, and any file in which a hidden test or a solution
stands.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "exercises" / "_tools") not in sys.path:
    sys.path.append(str(ROOT / "exercises" / "_tools"))

import assignments  # noqa: E402

ALONG = ("lib", "_config.yml", "LICENSE", "requirements.txt", "binder")
"""What the notebooks need beside them: the library, and how Binder builds."""


class PublishError(ValueError):
    """Nothing was copied; the message says why and what to do."""


def git(folder: Path, *command: str) -> str:
    """Run git in a folder; PublishError with what it said if it fails."""
    done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PublishError(f"git -C {folder} {' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def require_clone(target: Path) -> None:
    """PublishError unless ``target`` is the top of a git work tree other than this one."""
    if not target.is_dir():
        raise PublishError(
            f"there is no {target}: clone the students' repository there first (git clone ADDRESS {target})"
        )
    top = Path(git(target, "rev-parse", "--show-toplevel")).resolve()
    if top != target.resolve():
        raise PublishError(f"{target} is not the top of a clone; {top} is. Clone the students' repository first")
    if top == ROOT:
        raise PublishError("this is the instructors' repository itself: solutions would become public")


def secrets(names: list[str]) -> set[str]:
    """Lines that no student may see: of hidden tests and solutions, long enough to be telling."""
    found = set()
    for name in names:
        for cell in assignments.read(name).cells:
            rows = cell.hidden.splitlines() if cell.kind == "tests" else []
            rows += cell.source.splitlines() if cell.kind == "rubric" else []
            found |= {row.strip() for row in rows if len(row.strip()) > 50}
    return found


def publish(target: Path, names: list[str]) -> str:
    """Copy and commit; what was done. Raises PublishError."""
    require_clone(target)
    hidden = secrets(assignments.names())
    for name in names:
        path = assignments.EXERCISES / "release" / name / f"{name}.ipynb"
        if not path.is_file():
            raise PublishError(f"there is no release of {name}: make exercises")
        rows = {row.strip() for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] for row in cell["source"]}
        if leaked := rows & hidden:
            raise PublishError(f"{path} holds a line of a hidden test or a rubric: {min(leaked)!r}. make exercises")
    git(target, "rm", "-rqf", "--ignore-unmatch", "exercises", *ALONG)
    for name in names:
        shutil.copytree(assignments.EXERCISES / "release" / name, target / "exercises" / "release" / name)
    for entry in ALONG:
        origin = ROOT / entry
        if origin.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
            shutil.copytree(origin, target / entry, ignore=ignore, dirs_exist_ok=True)
        elif origin.is_file():
            shutil.copy(origin, target / entry)
    git(target, "add", "-A", "exercises", *(entry for entry in ALONG if (target / entry).exists()))
    if not git(target, "status", "--porcelain"):
        return f"{target} holds the {len(names)} releases already"
    git(target, "commit", "-qm", f"Exercises: {', '.join(names)}")
    return f"committed {len(names)} releases and the library in {target}; look at it, then: git -C {target} push"


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", type=Path, metavar="CLONE", help="a clone of the repository that students can read")
    parser.add_argument("names", nargs="*", metavar="NAME", help="assignments (all)")
    options = parser.parse_args(arguments)
    try:
        there = assignments.names()
        if unknown := set(options.names) - set(there):
            raise PublishError(f"no assignment {', '.join(sorted(unknown))}; there are {', '.join(there)}")
        print(publish(options.target, options.names or there))
    except PublishError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
