"""``python -m benchmarks [NAME ...] [--json PATH] [--repeats N]``: run the benchmarks and print their ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch, numpy and JAX start

import torch

from benchmarks import grading, grids, optimizer, simulate, training, twins, widgets

BENCHMARKS = {
    "simulate": simulate.run,
    "grids": grids.run,
    "optimizer": optimizer.run,
    "twins": twins.run,
    "training": training.run,
    "widgets": widgets.run,
    "grading": grading.run,
}


def main() -> None:
    """Parse the command line, run what it names, write the results where it says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the results to this file")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved repetitions (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if arguments.repeats < 1:
        parser.error(f"--repeats must be at least 1; got {arguments.repeats}")

    torch.set_num_threads(1)
    results = {name: BENCHMARKS[name](arguments.repeats) for name in arguments.names or BENCHMARKS}
    if arguments.json is not None:
        record = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
            "results": results,
        }
        write_whole(arguments.json, json.dumps(record, indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` so that the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)


if __name__ == "__main__":
    main()
