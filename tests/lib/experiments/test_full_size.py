"""The presets that need a GPU, shrunk to a few steps: every plan runs, is measured, checked, saved and read."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from optbias.data import Split
from optbias.experiments import full_size, linf_constraint, one_norm_hill, results, runs, sweep
from optbias.experiments.sweep import Where
from optbias.seeding import generator

MODULES = {"linf-constraint": linf_constraint, "one-norm-hill": one_norm_hill}


def shrunk(s):
    """The same setting, small: two seeds, a few steps and examples, the same kind of network."""
    small = {"steps": 14, "train_size": 12, "evaluate_every": 7 if s.evaluate_every else 0, "test_size": 0}
    small |= {"micro_batch": 5 if s.micro_batch else 0, "batch_size": 4 if s.batch_size else 0, "width": 8}
    small |= {"full_gradient_every": 7 if s.batch_size else 1, "depth": 2 if s.model != "resnet" else 1}
    small |= {"inner": 16 if s.inner else 0, "heads": 2, "context": 4 if s.context else 0}
    if s.data.startswith("cifar"):
        small["data"] = s.data.partition("-")[0] + "-8"
    return dataclasses.replace(s, **small)


def pictures_of(name, train_size, context, flat, folder, test_size=0):
    classes = 100 if name.startswith("cifar100") else 10
    random = generator(0)
    inputs, labels = torch.randn(20, 3, 8, 8, generator=random), torch.randint(classes, (20,), generator=random)
    return Split(name, classes, inputs[:train_size], labels[:train_size], inputs[12:], labels[12:])


@pytest.fixture
def no_files(monkeypatch):
    """Images are noise; text is generated."""
    load = runs._load
    monkeypatch.setattr(
        runs,
        "_load",
        lambda name, *rest, **more: (pictures_of if name.startswith("cifar") else load)(name, *rest, **more),
    )
    monkeypatch.setattr(runs, "available", lambda name, folder=None: name.startswith(("cifar", "digits")))


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["gpu", "paper"])
@pytest.mark.parametrize("name", list(MODULES))
def test_a_shrunk_plan_runs_to_its_checks_and_back(name, preset, no_files, tmp_path):
    module = MODULES[name]
    plan = module.EXPERIMENT.plan(preset, None)
    settings = [shrunk(s) for s in plan.settings if s.seed < 2]
    cut = sweep.groups(list(dict.fromkeys(settings)), runs.together, runs.group_size)
    where = Where(checkpoints=str(tmp_path / "checkpoints"))
    found = {s: o for group in cut for s, o in zip(group, module.execute(group, where), strict=True)}
    by_key = {sweep.key(s): o for s, o in found.items()}
    kept = results.Results({s: by_key[sweep.key(s)] for s in settings}, plan.skipped)
    assert {s.study for s in kept.outcomes} == set(plan.studies)
    assert all(o.summary["ended"] == "finished" for o in found.values())
    assert not [p for p in (tmp_path / "checkpoints").rglob("*") if p.is_file()]
    checked = module.check(preset, kept)
    assert sum(c.verdict != "not run" for c in checked) >= 4
    for study in plan.studies:
        own = results.Results({s: kept.outcomes[s] for s in kept.select(study=study)}, plan.skipped)
        module.EXPERIMENT.checks_of(preset, study, own)
    results.save(tmp_path, preset, kept, {"checks": [], "provenance": {"seconds": 0}})
    assert set(results.load(name, preset, tmp_path).results.outcomes) == set(settings)


def test_what_is_to_be_settled_has_three_seeds_and_the_authors_settings_are_there():
    hill = {study: [s for s in full_size.hill_paper() if s.study == study] for study in ("hill-rho", "hill-beta")}
    for settings in (*hill.values(), [s for s in full_size.box_paper("ptb-words", (1e-3,)) if s.optimizer == "AdamW"]):
        assert {s.seed for s in settings} == {0, 1, 2}
    theirs = [s for s in full_size.hill_paper() if s.study.startswith("authors")]
    assert {s.lr for s in theirs} == {1e-4, 7.5e-5}
    assert {s.model for s in theirs} == {"resnet", "cnn", "vit"}
    assert {s.rho for s in theirs if s.beta == 0.99 and s.study == "authors-rho"} == {0.9, 0.95, 0.99, 0.999}
    assert all(s.micro_batch == 500 for s in theirs if s.norm == "batch")
    assert {(s.depth, s.data) for s in theirs if s.study == "authors-cifar100"} == {(101, "cifar100-32")}
    assert {s.weight_decay for s in full_size.box_paper("ptb-words", (1e-3, 1e-2)) if s.optimizer == "Adam+L2"} == {
        1e-3,
        1e-2,
    }
    for s in full_size.hill_paper():
        # Each is a network that can be built: on the meta device, without its memory.
        with torch.device("meta"):
            split = Split("x", 100, torch.empty(1, 3, 32, 32), torch.zeros(1), torch.empty(0), torch.empty(0))
        assert callable(runs.MODELS[s.model])
        assert split.inputs.shape[-1] % 4 == 0
