"""A real JupyterLab, with settings of its own and no password, as long as a test wants it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.25


@contextmanager
def jupyterlab(root: Path, own: Path) -> Iterator[str]:
    """The address of a JupyterLab that serves ``root`` and keeps what it writes in ``own``."""
    variables = {f"JUPYTER_{name}_DIR": str(own / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    variables["JUPYTERLAB_SETTINGS_DIR"] = variables["JUPYTERLAB_WORKSPACES_DIR"] = str(own / "settings")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += [
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={root}",
        "--LabApp.news_url=",
        "--LabApp.expose_app_in_browser=True",
    ]
    log = (own / "log.txt").open("w+")
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _address(process, Path(log.name))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def _address(process: subprocess.Popen, log: Path) -> str:
    for _ in range(int(90 / PAUSE)):
        assert process.poll() is None, log.read_text()
        found = re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/lab", log.read_text())
        if found:
            address = f"http://127.0.0.1:{found[1]}"
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5).read()
                return address
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(PAUSE)
    raise AssertionError("JupyterLab did not start:\n" + log.read_text())
