"""Build the website, or preview one page of it.

    python book/_tools/build.py              the whole book, into _build/html
    python book/_tools/build.py --page adam  one page, into _build/preview/adam; other builds are not disturbed
    python book/_tools/build.py --draft      the whole book, warnings allowed, into _build/draft

Nothing that is up to date is done again: pages whose code and whose imports did not change are not
executed (see ``book/_ext/course_site/freshness.py``), and if no input changed at all, nothing runs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
IGNORED = {"__pycache__", ".ipynb_checkpoints"}


def inputs(root: Path) -> Iterator[Path]:
    """Every file of the repository that the website depends on."""
    yield from (root / name for name in ("_config.yml", "_toc.yml", "requirements.txt") if (root / name).is_file())
    for folder in ("book", "lib", "results"):
        for path in sorted((root / folder).rglob("*")):
            generated = path.suffix == ".pyc" or any(part in IGNORED or ".egg-info" in part for part in path.parts)
            if path.is_file() and not generated:
                yield path


def signature(root: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in inputs(root):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other build works in the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            import fcntl
        except ImportError:  # not on this system: two builds at once are then the user's to avoid
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another build is running; waiting for it.", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# When Sphinx has said what is wrong, jupyter-book raises an error of its own, whose traceback would bury it.
# Of Ctrl-C it makes an exit status; kernels are gone by then, and whoever still waits for them need not say so.
JUPYTER_BOOK = """
import os, sys
from jupyter_book.cli.main import main
try:
    main()
except RuntimeError as error:
    sys.exit(str(error))
except SystemExit as end:
    if isinstance(end.code, KeyboardInterrupt):
        os._exit(130)
    raise
"""


def jupyter_book(source: Path, output: Path, *options: str) -> int:
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(source), "--path-output", str(output)]
    # One thread a page: the pages' problems are small, and several pages run at a time.
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
    environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    process = subprocess.Popen([*command, *options], env=environment, cwd=source)
    try:
        return process.wait()
    except KeyboardInterrupt:  # it heard that too, and ends the kernels that it started
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(30)
        process.kill()
        raise


def say_why(output: Path) -> None:
    """The sentence at the end of a build that failed."""
    free = shutil.disk_usage(output).free
    if free < 10_000_000:
        print(
            f"\nThe disk is full: {free // 1_000_000} MB are left for {output}. Make room (the book takes 200 MB) and "
            "run the same command again: pages that were executed are kept.",
            file=sys.stderr,
        )
    else:
        print("\nThe book was not built: see the messages above.", file=sys.stderr)


def up_to_date(root: Path, output: Path) -> bool:
    """Whether the last build was of exactly these inputs and is still there."""
    stamp, index = output / "_build" / "course-book.json", output / "_build" / "html" / "index.html"
    if not (stamp.is_file() and index.is_file()):
        return False
    return json.loads(stamp.read_text()).get("inputs") == signature(root)


def build_book(root: Path, output: Path, force: bool = False) -> int:
    """Build the whole book strictly: a warning, an error in a cell or a dead reference fails it."""
    build = output / "_build"
    stamp = build / "course-book.json"
    index = build / "html" / "index.html"
    with locked(build / ".lock"):
        if not force and up_to_date(root, output):
            print(f"The book is up to date: {index}")
            return 0
        now = signature(root)
        stamp.unlink(missing_ok=True)
        code = jupyter_book(root, output, "-W", "--keep-going", "-n", *(["--all"] if force else []))
        if code != 0 or not index.is_file():
            say_why(build)
            return 1
        stamp.write_text(json.dumps({"inputs": now}))
        print(f"\nThe book is built: {index}\n(make serve shows it on a local port)")
        return 0


def preview_page(root: Path, name: str) -> int:
    """Build one page with the book's configuration. References to other pages are allowed to be missing."""
    page = Path(name).stem
    if not (root / "book" / f"{page}.md").is_file():
        pages = ", ".join(sorted(p.stem for p in (root / "book").glob("*.md")))
        print(f"There is no page {page!r}; there are: {pages}", file=sys.stderr)
        return 2
    output = root / "_build" / "preview" / page
    others = [f"book/{other}" for other in ("glossary", "references") if other != page]
    chapters = [{"file": other} for other in others if (root / f"{other}.md").is_file()]
    with locked(output / ".lock"):
        toc = output / "_toc.yml"
        toc.write_text(yaml.safe_dump({"format": "jb-book", "root": f"book/{page}", "chapters": chapters}))
        code = jupyter_book(root, output, "--toc", str(toc), "-n", "-q")
    if code != 0:
        print(f"\nThe page {page} was not built: see the messages above.", file=sys.stderr)
        return 1
    print(f"\nPreview: {output / '_build' / 'html' / 'book' / f'{page}.html'}")
    return 0


def draft_book(root: Path) -> int:
    """Build the whole book while pages that others link to are still missing."""
    output = root / "_build" / "draft"
    with locked(output / ".lock"):
        code = jupyter_book(root, output, "-n")
    print(f"\nDraft (exit code {code}): {output / '_build' / 'html' / 'index.html'}")
    return 1 if code else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--page", metavar="NAME", help="preview this page only (its file is book/NAME.md)")
    parser.add_argument("--draft", action="store_true", help="the whole book; warnings do not fail it")
    parser.add_argument("--force", action="store_true", help="read and write every page again")
    parser.add_argument("--source", type=Path, default=ROOT, help="the repository's root")
    parser.add_argument("--output", type=Path, help="where _build goes (default: the repository's root)")
    options = parser.parse_args(arguments)
    root = options.source.resolve()
    if options.page:
        return preview_page(root, options.page)
    if options.draft:
        return draft_book(root)
    output = (options.output or root).resolve()
    # The notebooks of the pages belong to the book: its buttons open them.
    if root == ROOT and (options.force or not up_to_date(root, output)):
        import notebooks  # takes a second, which a build with nothing to do can save

        if notebooks.main([]) != 0:
            return 1
    return build_book(root, output, options.force)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted. What was done is kept: run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit(f"\nThe book was not built: {error}")
