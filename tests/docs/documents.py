"""Reading a document as somebody who does what it says: its commands, its files, and what it says they print.

* Each command of a ``bash`` block is a step, and so is a command in the prose: `make check`.
* A block after a line that ends in "rite `PATH`:" is a file; after "to the end of `PATH`:" it is added to one.
* A block without a language right after a ``bash`` block is what that block prints: each line must occur, ``...``
  stands for anything, and a number for any number.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from project import ROOT

FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([\w{}-]*).*$")
INLINE = re.compile(
    r"(?<!`)`((?:[A-Z_]+=\S+ )*(?:make|python3?|pip|pytest|nbgrader|jupyter|git|\.venv/bin/\w+)(?: [^`]+)?)`(?!`)"
)
WRITE = re.compile(r"rite `([^`]+)`:$")
APPEND = re.compile(r"to the end of `([^`]+)`:$")
COMMENT = re.compile(r"\s+#\s.*$")
BARE = re.compile(r"^(python3?|pip|pytest|git|jupyter|make|nbgrader( \w+)?)$")  # a program's name, not a command


def project_files() -> list[Path]:
    """Files of the repository, also those that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.fail(f"git does not list the files: {listed.stderr}")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def copy_of_the_project(folder: Path) -> None:
    """The repository's files at another place, without .git."""
    for path in project_files():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def git(folder: Path, *command: str) -> None:
    name = ["-c", "user.name=A Reader", "-c", "user.email=reader@example.org"]
    subprocess.run(["git", *name, *command], cwd=folder, check=True)


def share_environment(source: Path, target: Path) -> None:
    """The environment at another place: programs copied, packages by hard links where the disk allows them."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other, follow_symlinks=False)
        except OSError:
            shutil.copy2(one, other, follow_symlinks=False)

    target.mkdir()
    for part in source.iterdir():
        if part.is_dir() and not part.is_symlink():
            tool = shutil.copy2 if part.name in ("bin", "Scripts") else link
            shutil.copytree(part, target / part.name, symlinks=True, copy_function=tool)
        else:
            shutil.copy2(part, target / part.name, follow_symlinks=False)


def surroundings(folder: Path) -> dict[str, str]:
    """A reader's variables, without this suite's or its ``make``'s, and a ``python3`` that is new enough."""
    scratch = folder.parent / "scratch"
    (scratch / "bin").mkdir(parents=True)
    (scratch / "bin" / "python3").symlink_to(Path(getattr(sys, "_base_executable", sys.executable)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own_variables = (
        "PYTEST",
        "VIRTUAL_ENV",
        "OPTBIAS",
        "PYTHON",
        "MAKE",
        "MFLAGS",
    )  # MAKELEVEL: a make inside prints more
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own_variables)}
    path = os.pathsep.join(
        [str(scratch / "bin"), *(p for p in kept["PATH"].split(os.pathsep) if not p.startswith(sys.prefix))]
    )
    own = {"PATH": path, "SCRATCH": str(scratch), "FREE_PORT": str(port), "SUITE_PYTHON": sys.executable}
    own |= {"GIT_AUTHOR_NAME": "A Reader", "GIT_AUTHOR_EMAIL": "reader@example.org"}
    own |= {"GIT_COMMITTER_NAME": "A Reader", "GIT_COMMITTER_EMAIL": "reader@example.org"}
    return kept | own | {"JUPYTER_CONFIG_DIR": str(scratch / "jupyter"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


@dataclass
class Step:
    """One thing to do. ``kind``: command, inline, write, append."""

    kind: str
    line: int
    text: str
    path: str = ""
    block: int = 0  # the line where its block begins: what is promised after a block, the block prints as a whole
    prints: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The command without its comments and line ends, by which a list of exceptions knows it."""
        rows = (COMMENT.sub("", row).rstrip("\\").strip() for row in self.text.splitlines())
        return " ".join(row for row in rows if row)


def steps(text: str) -> Iterator[Step]:
    """The steps of a document, in its order."""
    rows = text.splitlines()
    block: list[Step] = []  # the commands of the last bash block, if nothing but empty lines came after it
    before, i = "", 0
    while i < len(rows):
        opening = FENCE.match(rows[i])
        if not opening:
            if rows[i].strip():
                block, before = [], rows[i].strip()
                for match in INLINE.finditer(rows[i]):
                    if not BARE.match(match[1]) and "..." not in match[1]:
                        yield Step("inline", i + 1, match[1])
            i += 1
            continue
        indent, fence, language = opening.groups()
        closing = re.compile(rf"^\s*{fence[0]}{{{len(fence)},}}\s*$")
        end = next((j for j in range(i + 1, len(rows)) if closing.match(rows[j])), len(rows))
        body = [row.removeprefix(indent) for row in rows[i + 1 : end]]
        if language in ("bash", "sh", "console"):
            block = list(_commands(body, i + 2))
            for step in block:
                step.block = i + 1
            yield from block
        elif not language and block:
            block[-1].prints += [row for row in body if row.strip()]
        elif found := WRITE.search(before):
            yield Step("write", i + 2, "\n".join(body) + "\n", found[1])
        elif found := APPEND.search(before):
            yield Step("append", i + 2, "\n".join(body) + "\n", found[1])
        before, i = "", end + 1


def _commands(rows: list[str], first: int) -> Iterator[Step]:
    """Rows of shell, cut where a command is complete."""
    held: list[str] = []
    for number, row in enumerate(rows, first):
        if not held and (not row.strip() or row.lstrip().startswith("#")):
            continue
        held.append(row)
        if not row.endswith("\\") and _complete("\n".join(held)):
            yield Step("command", number - len(held) + 1, "\n".join(held))
            held = []
    if held:
        raise ValueError(f"line {first}: this command does not end: {held}")


def _complete(command: str) -> bool:
    done = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True)
    return done.returncode == 0 and "here-document" not in done.stderr


def missing(prints: list[str], output: str) -> list[str]:
    """The lines that a document promises and that were not printed."""
    return [line for line in prints if not re.search(_pattern(line.strip()), output)]


def _pattern(line: str) -> str:
    parts = re.split(r"(\.\.\.|\d[\d.,]*)", line)
    return "".join(".*" if p == "..." else r"\d[\d.,]*" if p[:1].isdigit() else re.escape(p) for p in parts)


@dataclass
class Ran:
    """A command that was run: its exit status and what it printed."""

    status: int
    output: str


def play(work: list[tuple[Step, str]], folder: Path, env: dict[str, str], timeout: float) -> list[Ran]:
    """Run each step's command in one shell that starts in ``folder``; stops at the first that fails."""
    script = [HELP]
    for number, (step, command) in enumerate(work):
        if step.kind in ("write", "append"):
            mark, sign = f"END_OF_{number}", ">" if step.kind == "write" else ">>"
            command = f'mkdir -p "$(dirname "{step.path}")"\ncat {sign} "{step.path}" <<\'{mark}\'\n{step.text}{mark}'
        script.append(f"echo '@@ {number}'\n{{\n{command}\n}} 2>&1\ns=$?\necho; echo \"@@ = $s\"\n[ $s = 0 ] || exit 1")
    (folder.parent / "document.sh").write_text("\n".join(script) + "\n", encoding="utf-8")
    done = subprocess.run(
        ["bash", str(folder.parent / "document.sh")],
        cwd=folder, env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    parts = re.split(r"^@@ \d+\n", done.stdout, flags=re.M)[1:]
    ran = []
    for part in parts:
        output, _, status = part.rpartition("@@ = ")
        ran.append(Ran(int(status or 1), output or part))
    assert ran or not work, done.stderr
    return ran


HELP = """
ASK="import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)"
# Start a server, wait until its address answers, and end it.
serves() {
  local log; log=$(mktemp)
  setsid "$@" > "$log" 2>&1 &
  local process=$! address="" i
  for i in $(seq 600); do
    address=$(grep -Eom1 'http://(127\\.0\\.0\\.1|localhost):[0-9]+[^ ]*' "$log")
    if [ -n "$address" ] && "$SUITE_PYTHON" -c "$ASK" "$address" 2> /dev/null
    then cat "$log"; kill -TERM -- -"$process"; wait "$process"; return 0
    fi
    kill -0 "$process" 2> /dev/null || break
    sleep 0.5
  done
  cat "$log"; kill -TERM -- -"$process" 2> /dev/null; return 1
}
"""
