"""Make an environment that was moved or copied run from where it lies now. Run by that environment's own Python.

What pip wrote into ``bin/`` begins with the full path of the environment's Python, and so does ``activate``: after
a move they would look for the old place, or, worse, run what lies there. Needs no network. Files are replaced,
never written through: the environment may share them with another by hard links.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import venv
from importlib.metadata import distributions
from pathlib import Path


def write_programs(folder: Path) -> set[str]:
    """Write the programs that the installed packages declare, as pip does; their names."""
    from pip._vendor.distlib.scripts import ScriptMaker  # pip's own, so that it is there wherever pip is

    maker = ScriptMaker(None, str(folder))
    maker.clobber, maker.variants, maker.set_mode = True, {""}, True
    written: set[str] = set()
    for package in distributions():
        for point in package.entry_points:
            if point.group in ("console_scripts", "gui_scripts"):
                options = {"gui": point.group == "gui_scripts"}
                written.update(Path(path).name for path in maker.make(f"{point.name} = {point.value}", options))
    return written


def relocate() -> None:
    folder = Path(sysconfig.get_path("scripts"))
    for name in ("activate", "activate.csh", "activate.fish", "Activate.ps1", "activate.bat"):
        (folder / name).unlink(missing_ok=True)
    (Path(sys.prefix) / "pyvenv.cfg").replace(Path(sys.prefix) / "pyvenv.cfg.old")
    try:
        venv.EnvBuilder(symlinks=os.name != "nt").create(sys.prefix)  # activate and pyvenv.cfg; the rest stays
    except BaseException:
        (Path(sys.prefix) / "pyvenv.cfg.old").replace(Path(sys.prefix) / "pyvenv.cfg")
        raise
    (Path(sys.prefix) / "pyvenv.cfg.old").unlink()
    written = write_programs(folder)
    for path in folder.iterdir():  # the few that no package declares: pip3.11, scripts of old packages
        if path.name in written or path.is_symlink() or not path.is_file():
            continue
        text = path.read_bytes()
        if re.match(rb"#!.*python", text):
            path.unlink()
            path.write_bytes(re.sub(rb"^#![^\n]*", lambda _: b"#!" + sys.executable.encode(), text, count=1))
            path.chmod(0o755)


if __name__ == "__main__":
    relocate()
