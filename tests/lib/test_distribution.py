"""The library as others get it: the sdist and the wheel, installed alone, on each Python that is found here."""

from __future__ import annotations

import doctest
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import api_reference
import optbias
from matrix import PYTHONS, interpreter
from project import ROOT

LIB = ROOT / "lib"
PROJECT = tomllib.loads((LIB / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2]))
"""


def build(kind: str, source: Path, into: Path) -> Path:
    """Build an ``sdist`` or a ``wheel`` as pip does, with this environment's setuptools."""
    command = [sys.executable, "-c", BUILD, kind, str(into)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return into / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is made from nothing but the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    leave = shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    source = Path(shutil.copytree(LIB, folder / "lib", ignore=leave))
    sdist = build("sdist", source, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return sdist, build("wheel", unpacked, folder)


def in_folder() -> set[str]:
    """The files of the package, as they stand in the repository."""
    kept = (path for path in (LIB / "optbias").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(LIB).as_posix() for path in kept}


@pytest.mark.slow
def test_both_hold_every_file_of_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        said = HeaderParser().parsestr(archive.read(metadata).decode())
    assert inside == in_folder()
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert in_folder() | {"README.md", "pyproject.toml"} <= names
    assert said["Version"] == PROJECT["version"] == optbias.__version__
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert "update rule" in said.get_payload(), "the README is the description"
    asked = [Requirement(one) for one in said.get_all("Requires-Dist") if "extra ==" not in one]
    assert sorted(map(str, asked)) == sorted(str(Requirement(one)) for one in PROJECT["dependencies"])


ALONE = """
import compileall, importlib.metadata, pathlib, sys, sysconfig
folder = pathlib.Path(sysconfig.get_path("purelib"), "optbias")
assert compileall.compile_dir(folder, quiet=1), "a file is not valid on this Python"
import optbias
assert pathlib.Path(optbias.__file__).parent == folder, optbias.__file__
print("%d.%d" % sys.version_info[:2], importlib.metadata.version("optbias"), optbias.__version__)
"""


def install(python: str, wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel and nothing else; returns its Python."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True, capture_output=True)
    own = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    command = [str(own), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return own


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_installs_on_each_python(built: tuple[Path, Path], tmp_path: Path, version: str) -> None:
    """Without PyTorch, whose builds for some versions are gigabytes: its files are valid there and its metadata fit.

    ``book/_tools/matrix.py`` installs the dependencies, too, and runs the fast tests.
    """
    python = interpreter(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    own = install(python, built[1], tmp_path / "venv")
    done = subprocess.run([str(own), "-W", "error", "-c", ALONE], capture_output=True, text=True, env=clean())
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [version, PROJECT["version"], PROJECT["version"]]


def closure(names: list[str]) -> list[importlib.metadata.Distribution]:
    """The distributions that ``names`` (requirements) need here, and what these need."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(Requirement(name), {""}) for name in names]
    while waiting:
        asked, extras = waiting.pop()
        key = canonicalize_name(asked.name)
        if asked.marker and not any(asked.marker.evaluate({"extra": extra}) for extra in extras) or key in found:
            continue
        found[key] = importlib.metadata.distribution(asked.name)
        waiting += [(Requirement(one), {"", *asked.extras}) for one in found[key].requires or []]
    return list(found.values())


WITH_DEPENDENCIES = """
import doctest, importlib, sys
for name in sys.argv[2].split(","):
    importlib.import_module(name)
result = doctest.testfile(sys.argv[1], module_relative=False)
print(result.attempted, result.failed)
"""


@pytest.mark.slow
def test_the_wheel_works_with_its_own_dependencies_alone(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Only what lib/pyproject.toml asks for can be imported: nothing else stands beside."""
    own = install(getattr(sys, "_base_executable", sys.executable), built[1], tmp_path / "venv")
    seen = tmp_path / "dependencies"
    seen.mkdir()
    for distribution in closure(PROJECT["dependencies"]):
        for file in distribution.files or []:
            top, link = file.parts[0], seen / file.parts[0]
            if top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))).resolve())
    assert not (seen / "jupyter_book").exists()
    environment = clean() | {"PYTHONPATH": str(seen), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    modules = ",".join((*api_reference.MODULES, "optbias.experiments.reproduce"))
    command = [str(own), "-c", WITH_DEPENDENCIES, str(LIB / "README.md"), modules]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    attempted, failed = map(int, done.stdout.split()[-2:])
    assert (attempted > 10, failed) == (True, 0), done.stdout
    version = subprocess.run(
        [str(own), "-m", "optbias", "--version"], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert PROJECT["version"] in version.stdout, version.stderr


def test_the_examples_of_the_readme_do_what_they_show() -> None:
    result = doctest.testfile(str(LIB / "README.md"), module_relative=False)
    assert result.attempted > 10
    assert result.failed == 0
