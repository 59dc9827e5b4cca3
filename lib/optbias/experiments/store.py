"""Recorded runs: files that appear whole or not at all, and what is written down about where they come from.

An experiment leaves two files: a table of numbers (Parquet) and a record (JSON) with its provenance. Both
are written under a temporary name in the same folder and then renamed, so that a reader never finds half a
file, and a run that is killed leaves what was there before.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import platform
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import optbias

RESULTS = "results"
"""The folder of a checkout that holds the recorded runs."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; on leaving without an error it takes the name ``path``.

    The folder is made if it is missing. After an error nothing is left and an older file is unchanged.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save_json(record: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write ``record`` as JSON, whole or not at all. Raises ValueError for a NaN or an infinity in it."""
    # Encoded first: what cannot be written leaves no trace.
    text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def save_table(table: pd.DataFrame, path: str | os.PathLike[str], exact: Collection[str] = ()) -> None:
    """Write ``table`` as Parquet, whole or not at all: zstd, floating-point columns as float32 but those in ``exact``.

    Columns of text become categories, which Parquet stores once for each value.
    """
    small = table.copy(deep=False)
    for name in small.columns:
        if small[name].dtype == np.float64 and name not in exact:
            small[name] = small[name].astype(np.float32)
        elif small[name].dtype == np.int64 and small[name].abs().max() < 2**31:
            small[name] = small[name].astype(np.int32)
        elif isinstance(small[name].dtype, pd.CategoricalDtype) or small[name].dtype == bool:
            continue
        elif not pd.api.types.is_numeric_dtype(small[name].dtype):
            small[name] = small[name].astype("category")
    with replacing(path) as temporary:
        small.to_parquet(temporary, index=False, compression="zstd", compression_level=9)


def find(experiment: str, file: str) -> Path | None:
    """``results/<experiment>/<file>`` of the checkout, or None where there is none.

    Looked for beside the library's source and from the working directory upwards. A notebook that has only
    the installed library (Colab) gets None and uses its own small run.
    """
    relative = Path(RESULTS) / experiment / file
    here = Path(__file__).resolve()
    for folder in (*here.parents[3:4], Path.cwd(), *Path.cwd().parents):
        if (folder / relative).exists():
            return folder / relative
    return None


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record that lies at ``path``."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def recorded(experiment: str, name: str) -> dict[str, Any] | None:
    """The record ``results/<experiment>/<name>.json``, or None where there is no checkout (:func:`find`)."""
    path = find(experiment, f"{name}.json")
    return None if path is None else read_json(path)


def provenance(command: str, seconds: float, device: str | torch.device = "cpu", **more: Any) -> dict[str, Any]:
    """What a record says about its own making; ``more`` is added as it stands.

    ``command`` is what a reader types to get the record again, ``seconds`` how long it took by the clock.
    The revision is left out where the library does not lie in a git checkout.
    """
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "optbias": optbias.__version__,
    }
    revision = _revision()
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds, 1),
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "versions": versions,
        **({} if revision is None else {"revision": revision}),
        **more,
    }


def describe_device(device: str | torch.device) -> str:
    """The device in words: ``cpu (x86_64)``, or the GPU's name."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({platform.machine()})"


def _revision() -> str | None:
    """The commit of the checkout that the library was imported from, with ``+`` if its code was changed since."""
    folder = Path(__file__).resolve().parent
    try:
        git = ["git", "-C", str(folder)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", str(folder.parent)],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def plain(value: Any) -> Any:
    """``value`` with numpy's and torch's scalars as Python's, and NaN and infinities as None: fit for JSON."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
