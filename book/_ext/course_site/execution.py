"""Execute the pages that need it before they are read, one per processor at a time.

The builder by itself executes one page after the other while it reads them, and stops at the first
that fails. Here the outputs go into the same cache, where the builder then finds them, and every
page that fails is reported.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


class PageError(SphinxError):
    """One or more pages did not run to their end."""

    category = "A page failed"


def execute(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    config: Any = env.mystnb_config  # type: ignore[attr-defined]
    if config.execution_mode != "cache":
        return
    cache = get_cache(str(config.execution_cache_path))
    waiting: dict[Path, Any] = {}
    for name in docnames:
        path = Path(env.doc2path(name))
        text = path.read_text(encoding="utf-8")
        reader = create_nb_reader(str(path), env.myst_config, config, text)  # type: ignore[attr-defined]
        notebook = reader.read(text) if reader else None
        if notebook is None or not any(cell.cell_type == "code" for cell in notebook.cells):
            continue
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            waiting[path] = notebook

    def run(path: Path, notebook: Any) -> Any:
        LOGGER.info("%s: Executing notebook", path)
        timeout = config.execution_timeout
        return single_nb_execution(notebook, cwd=str(path.parent), timeout=timeout, allow_errors=False)

    failures = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = {pool.submit(run, path, notebook): path for path, notebook in waiting.items()}
        for done, future in enumerate(as_completed(running), 1):
            path, result = running[future], future.result()
            if result.err is not None:
                LOGGER.info("[%d/%d] %s failed after %.1f s", done, len(running), path.name, result.time)
                failures.append(f"{path}\n{result.exc_string or result.err}")
                continue
            bundle = CacheBundleIn(waiting[path], str(path), data={"execution_seconds": result.time})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            LOGGER.info("[%d/%d] %s executed in %.1f s", done, len(running), path.name, result.time)
    if failures:
        raise PageError("\n\n".join(sorted(failures)))


def setup(app: Sphinx) -> None:
    app.connect("env-before-read-docs", execute)
