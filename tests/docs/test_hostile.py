"""Places that are not as ours: each either works or ends with one sentence that says what to do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import environment
from documents import copy_of_the_project, git, share_environment, surroundings
from minibook import MiniBook, cell
from project import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
UMLAUTS = "# Größe\n\nWörter und ε.\n\n" + cell("print('größer als ε')")


def build(book: MiniBook, env: dict[str, str], before: tuple[str, ...] = ()) -> tuple[int, str]:
    command = [*before, sys.executable, str(ROOT / "book" / "_tools" / "build.py"), "--source", str(book.root)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


def bare(tmp_path: Path, **more: str) -> dict[str, str]:
    """As ``env -i`` leaves it."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"} | more


def test_a_posix_locale_and_a_path_with_spaces_and_umlauts(tmp_path: Path) -> None:
    book = MiniBook(tmp_path / "übung 3" / "adam kurs")
    book.page("groesse", UMLAUTS)
    ascii_only = bare(tmp_path, LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    code, said = build(book, ascii_only)
    assert code == 0, said
    assert "größer als ε" in book.html("groesse")


def test_no_home(tmp_path: Path) -> None:
    book = MiniBook(tmp_path / "course")
    book.page("groesse", UMLAUTS)
    env = bare(tmp_path)
    del env["HOME"]
    code, said = build(book, env)
    assert code == 0, said


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    book = MiniBook(tmp_path / "course")
    book.page("groesse", UMLAUTS)
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    # The superuser writes everywhere, unless the right to do so is taken away.
    tamed = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    code, said = build(book, bare(tmp_path, HOME=str(home)), tamed)
    assert code == 0, said
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_a_build_that_is_ended_between_pages_goes_on_from_there(mini_book: MiniBook, how: str) -> None:
    waits = "import pathlib, time\ntime.sleep(0 if pathlib.Path('go').exists() else 600)"
    mini_book.page("quick", "# Quick\n\n" + cell("print(1)"))
    for name in ("slow", "slower"):
        mini_book.page(name, f"# {name}\n\n" + cell(f"{waits}\nprint('{name}')"))
    command = [sys.executable, str(ROOT / "book" / "_tools" / "build.py"), "--source", str(mini_book.root)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert any("[1/3]" in line for line in process.stdout)
    started = time.monotonic()
    os.killpg(process.pid, getattr(signal, how))
    # Killed, the build cannot end its kernels: they hold the pipe until they notice that they are alone.
    said = process.communicate(timeout=120)[0] if how == "SIGINT" else str(process.wait(120))
    assert time.monotonic() - started < 60  # the pages that run would take ten minutes
    if how == "SIGINT":
        assert process.returncode == 130, said
        assert "Interrupted. What was done is kept: run the same command again to go on." in said
        assert "Traceback" not in said
    (mini_book.root / "book" / "go").touch()
    again = mini_book.build()
    assert again.code == 0, again.log
    assert again.executed == ["slow", "slower"]


def test_a_disk_that_is_full_in_the_middle(mini_book: MiniBook) -> None:
    mini_book.page("groesse", UMLAUTS)
    small = mini_book.root / "_build"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only a superuser can make a small disk")
    try:
        full = mini_book.build()
        assert full.code != 0
        assert "The disk is full" in full.log, full.log
        assert "run the same command again" in full.log
        subprocess.run(["mount", "-o", "remount,size=100m", str(small)], check=True)
        again = mini_book.build()
        assert again.code == 0, again.log
        assert again.executed == [], "the page had been executed before the disk was full"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_tarball_that_was_moved_where_no_network_is(tmp_path: Path) -> None:
    """No .git, an environment made elsewhere, a path with spaces and umlauts, nothing to download from."""
    folder = tmp_path / "übung 3" / "adam kurs"
    copy_of_the_project(folder)
    share_environment(Path(sys.prefix), folder / ".venv")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    env = surroundings(folder) | nowhere | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    done = subprocess.run(["make", "page", "PAGE=running"], cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "_build" / "preview" / "running" / "_build" / "html" / "book" / "running.html").is_file()
    program = subprocess.run([folder / ".venv" / "bin" / "jupyter", "--version"], capture_output=True, text=True)
    assert program.returncode == 0, program.stderr
    again = subprocess.run(["make", "env"], cwd=folder, capture_output=True, text=True, env=env)
    assert (again.returncode, again.stdout) == (0, ""), again.stdout + again.stderr


def test_a_checkout_with_the_line_ends_of_windows(tmp_path: Path) -> None:
    """git is told to write them; and then they are written all the same, as an editor may do."""
    first, folder = tmp_path / "first", tmp_path / "windows"
    copy_of_the_project(first)
    git(first, "init", "-q")
    git(first, "add", "-A")
    git(first, "commit", "-qm", "all")
    git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(first), str(folder))
    assert b"\r\n" not in (folder / "book" / "adam.md").read_bytes()
    for path in (*folder.glob("book/*.md"), *folder.glob("exercises/text/*.md"), folder / "requirements.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for check in (("book/_tools/notebooks.py", "--check"), ("exercises/_tools/derive.py", "--check", "--no-release")):
        done = subprocess.run([sys.executable, *check], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert environment.wanted(folder) == environment.wanted(ROOT)


def small_checkout(folder: Path, requirements: str) -> Path:
    """environment.py in a repository with nothing but a library."""
    (folder / "book" / "_tools").mkdir(parents=True)
    (folder / "lib").mkdir()
    for name in ("environment.py", "relocate.py"):
        shutil.copy(ROOT / "book" / "_tools" / name, folder / "book" / "_tools")
    (folder / "requirements.txt").write_text(requirements)
    (folder / "lib" / "pyproject.toml").write_text("[project]\nname = 'empty'\nversion = '0'\n")
    return folder / "book" / "_tools" / "environment.py"


def one_sentence(done: subprocess.CompletedProcess[str], says: str) -> None:
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_no_network_at_the_first_run(tmp_path: Path) -> None:
    script = small_checkout(tmp_path / "course", "no-such-package-anywhere==1.0\n")
    env = bare(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    for _ in range(2):
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env)
        one_sentence(done, "Run the same command again when the cause is gone (no network?")
        assert "no-such-package-anywhere" in done.stdout


def test_a_python_without_venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian ships Python without ensurepip; what its message says comes through, with the way out."""
    lacking = tmp_path / "python3"
    lacking.write_text("#!/bin/sh\necho 'ensurepip is not available.' >&2\nexit 1\n")
    lacking.chmod(0o755)
    monkeypatch.setattr(environment.sys, "executable", str(lacking))
    with pytest.raises(SystemExit) as ended:
        environment.create(tmp_path / ".venv")
    assert re.search(r"cannot make a virtual environment:\nensurepip is not.*\n.*apt install", str(ended.value))
    assert not (tmp_path / ".venv").exists()
