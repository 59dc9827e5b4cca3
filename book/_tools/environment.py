"""Make .venv hold exactly what requirements.txt and lib/ ask for. Run by make, with any Python 3.11 or newer.

Instant when it already does. An environment whose making was cut off is made anew; one that runs
but is not up to date is brought up to date; in one that was moved or copied with its folder, the programs
are written anew, for they name the old place. Two runs at once wait for each other.
"""

import sys

# Old Pythons must be able to read this file to say so: no newer syntax in it.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        "Python 3.11 or newer is needed; {} is Python {}.{}.\n"
        "Install one, or name it: make PYTHON=python3.12 ...".format(sys.executable, *sys.version_info[:2])
    )

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOISE = ("Location '", "WARNING: Location '")


def wanted(root: Path) -> str:
    """A hash of everything that decides what must be installed."""
    digest = hashlib.sha256()
    for name in ("requirements.txt", "lib/pyproject.toml"):
        digest.update((root / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def runs(python: Path) -> bool:
    """Whether this environment's interpreter works, is new enough and has pip."""
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([str(python), "-c", check], capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def create(venv: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True)
    if made.returncode == 0:
        return
    # Some systems ship Python without ensurepip. Any pip from 22.3 on can fill an environment from outside.
    shutil.rmtree(venv, ignore_errors=True)
    bare = subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], capture_output=True, text=True)
    python = python_of(venv)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "pip", "setuptools"]
    if bare.returncode == 0 and subprocess.run(pip, capture_output=True).returncode == 0:
        return
    shutil.rmtree(venv, ignore_errors=True)
    sys.exit(
        f"{sys.executable} cannot make a virtual environment:\n{(made.stderr or made.stdout).strip()}\n"
        "On Debian and Ubuntu: apt install python3-venv. Or name another Python: make PYTHON=python3.12 ..."
    )


def elsewhere(venv: Path) -> bool:
    """Whether the environment was made in another place than where it lies."""
    activate = python_of(venv).with_name("activate")
    return activate.is_file() and str(venv) not in activate.read_text(encoding="utf-8", errors="replace")


def relocate(venv: Path) -> None:
    """Make the programs in ``venv`` run from where it lies now."""
    command = [str(python_of(venv)), str(Path(__file__).with_name("relocate.py"))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(
            f"{venv} was made in another place and could not be mended:\n{done.stderr.strip()}\n"
            f"Remove it (rm -rf {venv.name}) and run the command again: it is then made anew."
        )


def install(venv: Path, root: Path) -> None:
    pip(venv, root, "-r", "requirements.txt")
    # setuptools is among the requirements, so nothing more is fetched for building the library: a folder that was
    # moved is mended without a network.
    pip(venv, root, "--no-build-isolation", "--no-deps", "-e", "./lib")


def pip(venv: Path, root: Path, *arguments: str) -> None:
    command = [str(python_of(venv)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-q"]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith(NOISE):
            print("  pip:", line.rstrip(), flush=True)
    if process.wait() != 0:
        sys.exit(
            "Installing the packages failed; pip's messages are above. Run the same command again when the cause is "
            "gone (no network? no space left on the disk?)."
        )


@contextlib.contextmanager
def locked(path: Path):
    with path.open("w") as handle:
        try:
            import fcntl
        except ImportError:
            yield
            return
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure(root: Path, venv: Path) -> None:
    stamp, unfinished = venv / "course-installed.json", venv / "course-unfinished"
    target = {"wanted": wanted(root), "root": str(root)}

    def ready() -> bool:
        try:
            done = json.loads(stamp.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return False
        return done == target and python_of(venv).exists() and not unfinished.exists()

    if ready():
        return
    (root / "_build").mkdir(exist_ok=True)
    with locked(root / "_build" / ".environment-lock"):
        if ready():  # another run made it while this one waited
            return
        started = time.monotonic()
        fresh = unfinished.exists() or not runs(python_of(venv))
        if fresh:
            size = "1.5 GB, on Linux 6 GB if pip takes PyTorch with CUDA; takes a few minutes"
            print(f"Making {venv.name} with Python {sys.version.split()[0]} ({size}) ...", flush=True)
            create(venv)
        else:
            print(f"Bringing {venv.name} up to date ...", flush=True)
            if elsewhere(venv):
                relocate(venv)
        stamp.unlink(missing_ok=True)
        if fresh:
            unfinished.touch()
        install(venv, root)
        part = stamp.with_suffix(".part")
        part.write_text(json.dumps(target), encoding="utf-8")
        part.replace(stamp)
        unfinished.unlink(missing_ok=True)
        print(f"{venv.name} is ready after {time.monotonic() - started:.0f} s.", flush=True)


if __name__ == "__main__":
    ensure(ROOT, ROOT / (sys.argv[1] if len(sys.argv) > 1 else ".venv"))
