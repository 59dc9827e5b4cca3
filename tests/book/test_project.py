"""Facts that stand in one place only, and files that must agree with each other."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from documents import project_files
from lock import CUDA, MARK, differences, direct, requirements
from matrix import PYTHONS, RANGES, interpreter
from notebooks import ADDRESSES
from project import ROOT, Project

PROJECT = Project()
TEXT = {".md", ".py", ".yml", ".yaml", ".toml", ".txt", ".cff", ".cfg", ".css", ".js", ".bib", ".svg", ""}


def test_the_repositorys_address_stands_in_one_place() -> None:
    where = PROJECT.repository.removeprefix("https://")
    holders = [
        path.relative_to(ROOT).as_posix()
        for path in project_files()
        if path.suffix in TEXT and where in ADDRESSES.sub("", path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert holders == ["_config.yml"]
    assert (ROOT / "_config.yml").read_text().count(where) == 1


def pins(path: Path) -> dict[str, Requirement]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {requirement.name.lower(): requirement for requirement in found}


def test_requirements_are_exact() -> None:
    for requirement in requirements((ROOT / "requirements.txt").read_text(encoding="utf-8")):
        assert [s.operator for s in requirement.specifier] == ["=="], requirement


def test_no_requirement_lets_jupyter_book_2_in() -> None:
    for path in [p for p in project_files() if p.name.startswith("requirements") or p.name == "pyproject.toml"]:
        for line in re.findall(r"jupyter-book[^\"'\n]*", path.read_text(encoding="utf-8")):
            specifier = Requirement(line.split("#")[0].strip()).specifier
            assert Version("2.0.0") not in specifier, f"{path}: {line}"
            assert Version("1.0.4.post1") in specifier


def test_the_lock_is_what_is_installed() -> None:
    """On whatever Python and system this runs. What a CUDA build of PyTorch brings along is PyTorch's affair."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert MARK in text
    assert len(direct(text)) >= 20
    assert differences(text) == [], "requirements.txt and .venv differ: run make env, or make lock"


def test_the_lock_notices_what_differs() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert differences(text.replace("\ntqdm==", "\ntqdm==0.")) != []
    assert differences(text + "no-such-package==1.0\n") == ["no-such-package 1.0 is pinned and not installed"]
    assert differences(re.sub(r"\nzipp==.*", "", text)) == ["zipp is needed here and not pinned"]
    assert differences(text + "no-such-package==1.0 ; python_version < '3'\n") == []


SYSTEMS = {
    "Linux": {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"},
    "macOS": {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"},
    "Windows": {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"},
}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_lock_holds_for_each_system_and_python(system: str, python: str) -> None:
    """Each name once there, what only one system needs on that one only, and no CUDA anywhere."""
    there = SYSTEMS[system] | {"python_version": python, "python_full_version": f"{python}.9"}
    pinned = requirements((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    names = [pin.name for pin in pinned if pin.marker is None or pin.marker.evaluate(there)]
    assert len(names) == len(set(names))
    assert not [name for name in names if CUDA.match(name)]
    assert {"torch", "jupyter-book", "colorama", "pyzmq"} <= set(names)
    own = {"Linux": {"pexpect", "ptyprocess"}, "macOS": {"pexpect", "ptyprocess", "appnope"}, "Windows": {"pywinpty"}}
    for name in set().union(*own.values()):
        assert (name in names) == (name in own[system]), name


def test_requirement_files_name_no_machine() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^-", text, re.M)


def test_binder_is_lean_and_agrees_with_the_requirements() -> None:
    binder, book = pins(ROOT / "binder" / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert {name: str(r) for name, r in binder.items()} == {name: str(book[name]) for name in binder}
    assert not {"jupyter-book", "jupyterlab", "notebook"} & set(binder)
    assert "/whl/cpu" in (ROOT / "binder" / "requirements.txt").read_text()
    library = pins_of_library()
    assert set(library) <= set(binder), "Binder lacks something that the library needs"
    for name, requirement in library.items():
        assert next(iter(binder[name].specifier)).version in requirement.specifier
    assert (ROOT / "binder" / "runtime.txt").read_text().strip() == "python-3.11"
    post = ROOT / "binder" / "postBuild"
    assert post.stat().st_mode & stat.S_IXUSR
    assert "./lib" in post.read_text()


def pins_of_library() -> dict[str, Requirement]:
    import tomllib

    dependencies = tomllib.loads((ROOT / "lib" / "pyproject.toml").read_text())["project"]["dependencies"]
    return {Requirement(line).name: Requirement(line) for line in dependencies}


def test_library_asks_for_ranges_that_a_hosted_notebook_satisfies() -> None:
    for requirement in pins_of_library().values():
        assert {s.operator for s in requirement.specifier} <= {">=", "<"}, requirement


def test_continuous_integration_runs_what_a_person_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "make test" in script
    assert "CI=true" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")]).returncode == 0
    workflows = {p.name: yaml.safe_load(p.read_text()) for p in (ROOT / ".github" / "workflows").glob("*.yml")}
    steps = [step for job in workflows["test.yml"]["jobs"].values() for step in job["steps"]]
    assert any(step.get("run") == ".ci/run" for step in steps)
    assert any("upload-artifact" in step.get("uses", "") for step in steps)
    publish = [step for job in workflows["publish.yml"]["jobs"].values() for step in job["steps"]]
    assert any(step.get("run") == "make book" for step in publish)
    assert any("deploy-pages" in step.get("uses", "") for step in publish)


def test_continuous_integration_runs_the_readmes_plain_commands_on_every_system() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "systems.yml").read_text())
    plain = workflow["jobs"]["plain"]
    assert {"ubuntu-latest", "macos-14", "windows-latest"} <= set(plain["strategy"]["matrix"]["system"])
    assert plain["strategy"]["matrix"]["python"] == list(PYTHONS)
    runs = [step["run"].replace("$BIN", ".venv/bin") for step in plain["steps"] if "run" in step]
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("### The plain commands")[2]
    shown = [re.sub(r"\s+#.*", "", line) for line in section.partition("```bash\n")[2].partition("```")[0].splitlines()]
    assert len(shown) == len(runs) == 5
    for run, command in zip(runs, shown, strict=True):
        assert run.startswith(command.replace("python3 -m venv", "python -m venv"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for step in (step for job in workflow["jobs"].values() for step in job["steps"]):
        for target in re.findall(r"^make (\w+)", step.get("run", "")):
            assert re.search(rf"^{target}:", makefile, re.M)


@pytest.mark.parametrize("target", ["book", "test", "check", "notebooks", "bench", "serve", "matrix"])
def test_make_knows_its_targets(target: str) -> None:
    # Without its prerequisites: the environment itself is tested elsewhere.
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_leads_to_every_page_and_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = re.findall(r"(?:file|root): (book/\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert len(pages) > 20
    assert [page for page in pages if f"({page}.md)" not in readme] == []
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert len(targets) > 15
    assert [target for target in targets if not re.search(rf"^\|.*`make {target}\b.*\|", readme, re.M)] == []


def test_the_matrix_finds_this_python_and_says_what_it_does_not_find() -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    assert version in PYTHONS
    found = subprocess.run([interpreter(version), "-c", "import sys; print(sys.prefix == sys.base_prefix)"],
                           capture_output=True, text=True)  # fmt: skip
    assert found.stdout.strip() == "True", "an environment would be made of an environment"
    assert interpreter("3.1") is None
    oldest = (ROOT / "lib" / "pyproject.toml").read_text()
    assert f'requires-python = ">={PYTHONS[0]}"' in oldest
    assert {python for python, _ in RANGES.values()} == {PYTHONS[0], PYTHONS[-1]}


def test_citation_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"MIT", "CC-BY-4.0"} == set(citation["license"])
    licence = (ROOT / "LICENSE").read_text()
    assert "MIT License" in licence
    assert "CC BY 4.0" in licence
