"""A program that trains in processes which it kills: ``python kill_and_resume.py FOLDER STEPS KILLS SEED``.

First one process trains without being cut off; then processes that write a checkpoint at every step are
killed (SIGKILL) at random moments, each going on where the last one was, until one is left to finish.
Each run's history and parameters are written to the folder for the test to compare.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from optbias.data import Split
from optbias.models import ResidualMLP
from optbias.rules import AdamW
from optbias.seeding import generator
from optbias.training import Probes, train


def work(folder: Path, steps: int, checkpoint: Path | None) -> None:
    """Train to the end and write what came out."""
    source = generator(0)
    inputs = torch.randn(200, 16, generator=source)
    labels = torch.randint(4, (200,), generator=source)
    split = Split("random", 4, inputs[:150], labels[:150], inputs[150:], labels[150:])
    rule = AdamW(lr=lambda t: 0.01 / t**0.5, betas=(0.9, 0.95), eps=1e-7, eps_inside=True, weight_decay=1.0)
    run = train(
        ResidualMLP(16, 24, 2, 4, norm="batch", dtype=torch.float32),
        split,
        rule,
        steps,
        batch_size=40,
        full_gradient_every=7,
        evaluate_every=5,
        probes=Probes(sharpness_every=40, quantiles_every=3),
        checkpoint=checkpoint,
        checkpoint_seconds=0.0,
        resume=checkpoint is not None,
    )
    folder.mkdir(exist_ok=True)
    run.history.to_pickle(folder / "history.pickle")
    torch.save(run.theta, folder / "theta.pt")


def forked(*arguments: object) -> int:
    """The process id of a child that carries out ``work``."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(*arguments)  # type: ignore[arg-type]
            status = 0
        finally:
            os._exit(status)
    return child


def written(path: Path) -> int | None:
    """When the file was written last; None where it is not there: a new one may take its place at this moment."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def main() -> None:
    """Carry out the whole run and the one that is killed again and again; print what was seen."""
    folder, steps, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    _, status = os.waitpid(forked(folder / "whole", steps, None), 0)
    assert status == 0
    moments = random.Random(seed)
    path, part = folder / "run.checkpoint", folder / "run.checkpoint.part"
    killed, halves = 0, 0
    while True:
        child = forked(folder / "cut", steps, path)
        if killed < kills:
            before = written(path)
            while os.waitpid(child, os.WNOHANG) == (0, 0) and written(path) in (None, before):
                time.sleep(0.0005)  # a first checkpoint of its own
            time.sleep(moments.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
            halves += part.exists()
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        killed += 1
    print(f"{killed} kills, {halves} of them while a checkpoint was written")


main()
