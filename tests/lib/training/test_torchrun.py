"""Several processes train the network that one process trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

PROGRAM = Path(__file__).with_name("train_in_processes.py")


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path):
    launchers = {
        1: [sys.executable],
        2: [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    }
    for processes, launcher in launchers.items():
        folder = tmp_path / str(processes)
        folder.mkdir()
        done = subprocess.run(
            [*launcher, str(PROGRAM), str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    found = sorted(path.stem for path in (tmp_path / "2").glob("*.pickle"))
    assert found == ["fewer parts than processes", "full batch", "micro-batches", "mini-batches", "stack"]
    for name in found:
        one, two = (pd.read_pickle(tmp_path / folder / f"{name}.pickle") for folder in "12")
        np.testing.assert_allclose(
            two.drop(columns="sharpness"), one.drop(columns="sharpness"), rtol=1e-12, err_msg=name
        )
        np.testing.assert_allclose(two["sharpness"], one["sharpness"], rtol=2e-3, err_msg=name)  # to its tolerance
        (theta, processes, resumed), (expected, alone, _) = (torch.load(tmp_path / f / f"{name}.pt") for f in "21")
        torch.testing.assert_close(theta, expected, rtol=1e-12, atol=1e-13)
        assert (processes, alone, resumed) == (2, 1, 6)
