"""Making the environment, and running a derived notebook where only Colab's packages are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import environment
from project import ROOT, Project


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with nothing to install but an empty library."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "lib" / "pyproject.toml").write_text("[project]\nname = 'empty'\nversion = '0'\n")
    return tmp_path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which steps were taken; they only pretend."""
    taken: list[str] = []

    def create(venv: Path) -> None:
        taken.append("create")
        python = environment.python_of(venv)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.unlink(missing_ok=True)
        python.symlink_to(sys.executable)

    monkeypatch.setattr(environment, "create", create)
    monkeypatch.setattr(environment, "install", lambda venv, root: taken.append("install"))
    return taken


def test_made_once_and_then_left_alone(checkout: Path, steps: list[str]) -> None:
    environment.ensure(checkout, checkout / ".venv")
    assert steps == ["create", "install"]
    environment.ensure(checkout, checkout / ".venv")
    assert steps == ["create", "install"]


def test_changed_requirements_are_installed_on_top(checkout: Path, steps: list[str]) -> None:
    environment.ensure(checkout, checkout / ".venv")
    (checkout / "requirements.txt").write_text("# something else\n")
    environment.ensure(checkout, checkout / ".venv")
    assert steps == ["create", "install", "install"]


def test_an_installation_that_was_cut_off_starts_anew(
    checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(venv: Path, root: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environment, "install", cut_off)
        with pytest.raises(KeyboardInterrupt):
            environment.ensure(checkout, checkout / ".venv")
    environment.ensure(checkout, checkout / ".venv")
    assert steps == ["create", "create", "install"]


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path, steps: list[str]) -> None:
    environment.ensure(checkout, checkout / ".venv")
    environment.python_of(checkout / ".venv").unlink()
    environment.ensure(checkout, checkout / ".venv")
    assert steps == ["create", "install", "create", "install"]


def test_a_moved_checkout_is_noticed(checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "relocate", lambda venv: steps.append("relocate"))
    environment.ensure(checkout, checkout / ".venv")
    (checkout / ".venv" / "bin" / "activate").write_text(f"VIRTUAL_ENV={checkout / '.venv'}")
    moved = checkout.with_name("moved")
    checkout.rename(moved)
    environment.ensure(moved, moved / ".venv")
    assert steps == ["create", "install", "relocate", "install"]


def test_programs_of_a_moved_environment_run_where_it_lies_now(tmp_path: Path) -> None:
    """Also where the new path has a space in it, which a first line ``#!`` cannot hold."""
    old, new = tmp_path / "old", tmp_path / "new place" / "ü"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(old)], check=True)
    site = next((old / "lib").glob("python*")) / "site-packages"
    (site / "pip").symlink_to(Path(next(iter(__import__("pip").__path__))))
    (site / "said.py").write_text("import sys\ndef main():\n    print('said', sys.prefix)\n")
    (site / "said-1.dist-info").mkdir()
    (site / "said-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: said\nVersion: 1\n")
    (site / "said-1.dist-info" / "entry_points.txt").write_text("[console_scripts]\nsaid = said:main\n")
    python = f"#!{old}/bin/python\n"
    (old / "bin" / "said").write_text(python + "import said; said.main()\n")
    shared = tmp_path / "shared"
    os.link(old / "bin" / "activate", shared)
    new.parent.mkdir()
    old.rename(new)
    assert environment.elsewhere(new)
    environment.relocate(new)
    assert not environment.elsewhere(new)
    done = subprocess.run([new / "bin" / "said"], capture_output=True, text=True)
    assert done.stdout == f"said {new}\n", done.stderr
    sourced = subprocess.run(["bash", "-c", '. "$0"; said', new / "bin" / "activate"], capture_output=True, text=True)
    assert sourced.stdout == f"said {new}\n", sourced.stderr
    assert str(old) in shared.read_text(), "a file that is shared by a hard link was written through"


def test_an_old_python_is_told_what_to_do() -> None:
    source = (ROOT / "book" / "_tools" / "environment.py").read_text()
    old = source.replace("sys.version_info < (3, 11)", "sys.version_info < (99, 0)")
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "make PYTHON=" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_derived_notebook_runs_where_only_colabs_packages_are(tmp_path: Path) -> None:
    """PyTorch, NumPy, Matplotlib, ipywidgets and a kernel in a fresh environment; the first cell does the rest."""
    venv = tmp_path / "colab"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = environment.python_of(venv)
    pins = {
        line.split("==")[0]: line.split()[0]
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    has = [pins[name] for name in ("torch", "numpy", "matplotlib", "ipywidgets", "nbclient", "ipykernel")]
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *has], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    def versions() -> dict[str, str]:
        code = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        return json.loads(subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout)

    before = versions()
    assert "optbias" not in {name.lower() for name in before}

    project = Project()
    notebook = json.loads((ROOT / "book" / "running.ipynb").read_text(encoding="utf-8"))
    first = "".join(notebook["cells"][0]["source"])
    assert first.count(project.install_command) == 1
    # The library comes from this checkout instead of the published repository; nothing else differs.
    local = first.replace(project.install_command, str(ROOT / "lib"))
    notebook["cells"][0]["source"] = local
    (tmp_path / "page.ipynb").write_text(json.dumps(notebook))
    run = (
        "import nbformat, nbclient; n = nbformat.read('page.ipynb', 4);"
        "nbclient.NotebookClient(n, timeout=600, kernel_name='python3').execute();"
        "print(n.cells[0].outputs)"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(python), "-c", run], cwd=tmp_path, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Ready: optbias" in done.stdout

    after = versions()
    assert {name: after[name] for name in before} == before, "installing the library changed what was there"
    assert "optbias" in after
    checked = subprocess.run([str(python), "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
