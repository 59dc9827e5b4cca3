"""What the documents tell a reader to do is done, in the order of the page, in a fresh clone.

A document that no test executes drifts. The few commands that are not run stand below, by name and with the reason;
so do those that are run in a shorter form. An entry that no document uses any more fails the suite, too.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import environment
from documents import Step, copy_of_the_project, git, missing, play, share_environment, steps, surroundings
from project import ROOT, Project

DOCUMENTS = [
    path
    for path in ("README.md", "lib/README.md", "book/running.md", "docs/instructors.md", "docs/contributing.md")
    if (ROOT / path).is_file()
]

ITSELF = "it is this suite, or holds it"
HUB = "it needs a JupyterHub with an exchange"
HOURS = "it takes minutes to hours, and tests of its own run what it does"
NOT_RUN = {
    "make test": ITSELF,
    "make check": ITSELF,
    ".venv/bin/python -m pytest": ITSELF,
    "make matrix": HOURS,
    "make bench": HOURS,
    "make audit": HOURS,
    "make pictures": "it writes screenshots that the repository holds; the browser tests look at the same pages",
    "make lock": "it asks the package index for every version; test_project compares the lock with what is installed",
    "make book PYTHON=python3.12": "another Python may be missing; make matrix tries those that are there",
    "pip install ./lib": "test_environment runs it in an environment of its own",
    "pytest tests/exercises": ITSELF,
    "pytest tests/grading/test_bank.py -s": ITSELF,
    "pytest tests/exercises -k ps-adam": ITSELF,
    "pytest tests/exercises -k ps-warm-up": "the bank that it tests is left to the author",
    "nbgrader release_assignment ps-adam": HUB,
    "nbgrader collect ps-adam": HUB,
    "nbgrader release_feedback ps-adam": HUB,
    "OPTBIAS_REPETITIONS=200 pytest tests/exercises/test_banks.py -k seeds": HOURS,
}
# The same thing in a form that ends soon.
DERIVE = ".venv/bin/python exercises/_tools/derive.py"
INSTEAD = {
    "make serve": "serves make serve PORT=$FREE_PORT",
    ".venv/bin/jupyter lab book": "serves .venv/bin/jupyter lab book --no-browser --allow-root --port=$FREE_PORT",
    "jupyter lab": "serves jupyter lab --no-browser --allow-root --port=$FREE_PORT",
    "make exercises": DERIVE,  # all that it does, without the validation
    ".venv/bin/python -m optbias reproduce linf-constraint --preset cpu": ".venv/bin/python -m optbias reproduce "
    "linf-constraint --preset smoke --out $SCRATCH/box",
    ".venv/bin/python -m optbias reproduce one-norm-hill --preset cpu": ".venv/bin/python -m optbias reproduce "
    "one-norm-hill --preset smoke --out $SCRATCH/hill",
}
# What a reader has by then, and a clone has not.
BEFORE = {
    "nbgrader db student import students.csv": "printf 'id,first_name,last_name,email\\neli,Eli,E,e@example.org\\n'"
    " > students.csv",
    "python -m optbias.grading.restore submitted/eli/ps-adam/ps-adam.ipynb --release release/ps-adam/ps-adam.ipynb "
    "--out submitted/eli/ps-adam/ps-adam.ipynb": "$SUITE_PYTHON ../tests/docs/hand_in.py eli damaged",
    "python -m optbias grade ps-adam": "$SUITE_PYTHON ../tests/docs/hand_in.py eli",
    "nbgrader autograde ps-adam --force": "rm -rf submitted/eli && $SUITE_PYTHON ../tests/docs/hand_in.py eli",
}
# Commands that end otherwise than well, as the page says.
STATUS = {
    "python -m optbias.grading.restore submitted/eli/ps-adam/ps-adam.ipynb --release release/ps-adam/ps-adam.ipynb "
    "--out submitted/eli/ps-adam/ps-adam.ipynb": 1,
}


@functools.cache
def read(document: str) -> list[Step]:
    """The steps of a document; a command in the prose that was run before is not run again."""
    found: list[Step] = []
    for step in steps((ROOT / document).read_text(encoding="utf-8")):
        if step.kind != "inline" or step.name not in {other.name for other in found}:
            found.append(step)
    return found


def test_every_exception_is_used() -> None:
    used = {step.name for document in DOCUMENTS for step in read(document)}
    assert sorted((NOT_RUN.keys() | INSTEAD.keys() | BEFORE.keys() | STATUS.keys()) - used) == []
    assert not NOT_RUN.keys() & INSTEAD.keys()


def test_most_commands_are_run() -> None:
    for document in DOCUMENTS:
        assert [step for step in read(document) if step.name not in NOT_RUN], document


def test_reading_a_document() -> None:
    text = (
        "Write `a/b.txt`:\n\n````markdown\n```bash\nnot a command\n```\n````\n\nThen `make check` and `make`:\n\n"
        "```bash\n# words\nfor i in 1 2; do   # twice\n  echo $i\ndone\ncat <<E\nx\nE\necho a \\\n  b  # c\n```\n\n"
        "```\nline 12 of ...\n```\n"
    )
    found = list(steps(text))
    assert [(step.kind, step.name) for step in found] == [
        ("write", "```bash not a command ```"),
        ("inline", "make check"),
        ("command", "for i in 1 2; do echo $i done"),
        ("command", "cat <<E x E"),
        ("command", "echo a b"),
    ]
    assert found[-1].prints == ["line 12 of ..."]
    assert missing(found[-1].prints, "line 7 of all") == []
    assert missing(found[-1].prints, "line seven of all") == ["line 12 of ..."]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What ``git clone`` gives, with the environment and the built book of this checkout, so that no hour is lost.

    The environment is moved there as a reader moves a folder; nothing in it is written through to this one.
    """
    folder = tmp_path / "course"
    copy_of_the_project(folder)
    for command in ("init -q -b main", "add -A", "commit -qm clone"):
        git(folder, *command.split())
    share_environment(Path(sys.prefix), folder / ".venv")
    if (ROOT / "_build" / "course-book.json").is_file():
        for name in ("html", ".jupyter_cache", ".doctrees"):
            shutil.copytree(ROOT / "_build" / name, folder / "_build" / name, symlinks=True)
        shutil.copy2(ROOT / "_build" / "course-book.json", folder / "_build")
    return folder


def follow(document: str, clone: Path) -> None:
    """Do what the document says; fails at the first command that fails or does not print what is promised."""
    work: list[tuple[Step, str]] = []
    for step in read(document):
        if step.name in NOT_RUN:
            continue
        command = INSTEAD.get(step.name, step.text)
        if step.kind == "inline":  # the prose says `python -m ...` of the environment that the page has set up
            command = f'(PATH="$PWD/.venv/bin:$PATH"; {command})'
        if step.name in BEFORE:
            command = f"{{ {BEFORE[step.name]}; }} &&\n{command}"
        if step.name in STATUS:
            command = f"{command}\n[ $? = {STATUS[step.name]} ]"
        work.append((step, command))
    ran = play(work, clone, surroundings(clone), timeout=1500)
    for (step, _), result in zip(work, ran, strict=False):
        place = f"{document}:{step.line}: {step.name[:200]}"
        assert result.status == 0, f"{place}\nended with status {result.status}:\n{result.output[-4000:]}"
        printed = "".join(r.output for (s, _), r in zip(work, ran, strict=False) if s.block == step.block or s is step)
        assert missing(step.prints, printed) == [], f"{place}\nprinted:\n{printed[-4000:]}"
    assert len(ran) == len(work)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.xdist_group("documents")
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_does_what_it_says(document: str, clone: Path) -> None:
    follow(document, clone)
    if document == "docs/contributing.md":
        the_recipes_hold(clone)


def the_recipes_hold(clone: Path) -> None:
    """The book with the new page builds, executes nothing but that page, and no file names the old address."""
    old = Project().repository.removeprefix("https://github.com/")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=clone, capture_output=True, text=True, check=True).stdout
    names = [name for name in tracked.split("\0") if name]
    assert "book/warm-up.ipynb" in names
    assert "exercises/release/ps-warm-up/ps-warm-up.ipynb" in names
    holders = [
        name
        for name in names
        if not name.endswith(".png") and old in (clone / name).read_text(encoding="utf-8", errors="ignore")
    ]
    assert holders == []
    build = [str(environment.python_of(clone / ".venv")), "book/_tools/build.py"]
    done = subprocess.run(
        build, cwd=clone, capture_output=True, text=True, env=surroundings(clone.parent / "again" / "course")
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    assert [line for line in said.splitlines() if line.endswith("Executing notebook")] == [
        f"{clone / 'book' / 'warm-up.md'}: Executing notebook"
    ]
    page = (clone / "_build" / "html" / "book" / "warm-up.html").read_text(encoding="utf-8")
    assert "the first step of Adam has the length of the learning rate" in page
    assert "YOUR-NAME/YOUR-COURSE" in page


def test_the_environment_of_the_clone_is_not_this_one(tmp_path: Path) -> None:
    (tmp_path / "a" / "bin").mkdir(parents=True)
    (tmp_path / "a" / "lib").mkdir()
    for name in ("bin/program", "lib/module", "pyvenv.cfg"):
        (tmp_path / "a" / name).write_text("here")
    share_environment(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "bin" / "program").write_text("there")
    (tmp_path / "b" / "pyvenv.cfg").write_text("there")
    assert (tmp_path / "a" / "bin" / "program").read_text() == (tmp_path / "a" / "pyvenv.cfg").read_text() == "here"
    assert (tmp_path / "a" / "lib" / "module").samefile(tmp_path / "b" / "lib" / "module")
