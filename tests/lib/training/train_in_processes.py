"""A program that trains in as many processes as ``torchrun`` starts: ``torchrun ... train_in_processes.py FOLDER``.

Each case is trained for some steps with a checkpoint, then continued from it. The first process writes what came out.
"""

import os
import sys
from pathlib import Path

import torch

from optbias.data import Split
from optbias.models import ResidualMLP
from optbias.rules import Adam, AdamW
from optbias.seeding import generator
from optbias.training import Probes, train, train_many

CASES = {
    "full batch": {},
    "micro-batches": {"micro_batch": 7},
    "mini-batches": {"batch_size": 9, "full_gradient_every": 4, "seed": 3},
    "fewer parts than processes": {"micro_batch": 1000},
}


def main() -> None:
    """Train every case and write histories and parameters."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    source = generator(0)
    inputs = torch.randn(60, 8, generator=source, dtype=torch.float64)
    labels = torch.randint(3, (60,), generator=source)
    split = Split("random", 3, inputs[:41], labels[:41], inputs[41:], labels[41:])
    for name, options in CASES.items():
        rule = Adam(lr=0.02, eps=1e-6, eps_inside=True) if name == "full batch" else AdamW(lr=0.02, weight_decay=1.0)
        for steps in (6, 14):
            # Different initial networks: every process must take that of the first.
            network = ResidualMLP(8, 6, 2, 3, seed=int(os.environ.get("RANK", "0")))
            run = train(
                network,
                split,
                rule,
                steps,
                evaluate_every=3,
                probes=Probes(sharpness_every=7),
                checkpoint=folder / f"{name}.checkpoint",
                resume=True,
                **options,
            )
        if os.environ.get("RANK", "0") == "0":
            run.history.to_pickle(folder / f"{name}.pickle")
            torch.save((run.theta, run.facts["processes"], run.facts["resumed_at"]), folder / f"{name}.pt")
    runs = train_many(lambda seed: ResidualMLP(8, 6, 2, 3, seed=seed), split, [(rule, 0), (rule, 1)], 14, stack=True)
    if os.environ.get("RANK", "0") == "0":
        runs[1].history.to_pickle(folder / "stack.pickle")
        torch.save((runs[1].theta, runs[1].facts["processes"], 6), folder / "stack.pt")


if __name__ == "__main__":
    main()
