"""Execute the pages that need it before they are read, one per processor at a time.

The builder by itself executes one page after the other while it reads them, and stops at the first
that fails. Here the outputs go into the same cache, where the builder then finds them, and every
page that fails is reported.
"""

from __future__ import annotations

import os
import weakref
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, ClassVar

import zmq
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from jupyter_client.manager import AsyncKernelManager
from myst_nb.core.read import create_nb_reader
from nbclient.exceptions import DeadKernelError
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


class Kernel(AsyncKernelManager):
    """A kernel that is spoken to under a key (without one it warns, for every page), and that can be ended at once."""

    alive: ClassVar[weakref.WeakSet[Kernel]] = weakref.WeakSet()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transport_encryption = "auto" if zmq.has("curve") else "disabled"
        self.alive.add(self)

    @classmethod
    def end_all(cls) -> None:
        """Kill what still runs, so that the threads that wait for it come to their end."""
        for kernel in list(cls.alive):
            process = getattr(kernel.provisioner, "process", None)
            if process is not None:
                process.kill()


class PageError(SphinxError):
    """One or more pages did not run to their end."""

    category = "A page failed"


def read_notebook(env: BuildEnvironment, docname: str) -> Any:
    """The page as a notebook without outputs; None if it holds no code."""
    path = Path(env.doc2path(docname))
    text = path.read_text(encoding="utf-8")
    config = env.mystnb_config  # type: ignore[attr-defined]
    reader = create_nb_reader(str(path), env.myst_config, config, text)  # type: ignore[attr-defined]
    notebook = reader.read(text) if reader else None
    return notebook if notebook and any(cell.cell_type == "code" for cell in notebook.cells) else None


def executed(env: BuildEnvironment, docname: str) -> tuple[Any, float] | None:
    """The page with its outputs, and the seconds that they took, from the cache; None if it holds no code.

    The copies that the builder leaves in ``jupyter_execute`` have no outputs when these came from the cache.
    """
    notebook = read_notebook(env, docname)
    if notebook is None:
        return None
    cache = get_cache(str(env.mystnb_config.execution_cache_path))  # type: ignore[attr-defined]
    try:
        record = cache.match_cache_notebook(notebook)
    except KeyError:
        return None
    return cache.get_cache_bundle(record.pk).nb, record.data.get("execution_seconds", 0.0)


def where(path: Path, notebook: Any) -> str:
    """The page, and the line where the cell begins at which it stopped: the last that was run."""
    starts = notebook.metadata.get("source_map", ())
    ran = [i for i, cell in enumerate(notebook.cells) if cell.get("execution_count")]
    line = f":{starts[ran[-1]]}" if ran and len(starts) == len(notebook.cells) else ""
    return f"{path}{line}: the cell that begins here failed" if line else f"{path}: a cell failed"


def execute(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    config: Any = env.mystnb_config  # type: ignore[attr-defined]
    if config.execution_mode != "cache":
        return
    cache = get_cache(str(config.execution_cache_path))
    waiting: dict[Path, Any] = {}
    for name in docnames:
        notebook = read_notebook(env, name)
        if notebook is None:
            continue
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            waiting[Path(env.doc2path(name))] = notebook

    def run(path: Path, notebook: Any) -> Any:
        LOGGER.info("%s: Executing notebook", path)
        folder, timeout = str(path.parent), config.execution_timeout
        try:
            return single_nb_execution(notebook, folder, timeout, allow_errors=False, kernel_manager_class=Kernel)
        except DeadKernelError as error:  # killed, by the system for memory perhaps
            return ExecutionResult(notebook, folder, 0.0, error)

    failures = []
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    running = {pool.submit(run, path, notebook): path for path, notebook in waiting.items()}
    try:
        for done, future in enumerate(as_completed(running), 1):
            path, result = running[future], future.result()
            if result.err is not None:
                LOGGER.info("[%d/%d] %s failed after %.1f s", done, len(running), path.name, result.time)
                failures.append(f"{where(path, waiting[path])}\n{result.err}")
                continue
            bundle = CacheBundleIn(waiting[path], str(path), data={"execution_seconds": result.time})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            LOGGER.info("[%d/%d] %s executed in %.1f s", done, len(running), path.name, result.time)
    except BaseException:  # Ctrl-C, a full disk: the other pages are not waited for
        pool.shutdown(wait=False, cancel_futures=True)
        Kernel.end_all()
        raise
    pool.shutdown()
    if failures:
        raise PageError("\n\n".join(sorted(failures)))


def setup(app: Sphinx) -> None:
    app.connect("env-before-read-docs", execute)
