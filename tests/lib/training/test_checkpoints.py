"""Checkpoints are whole or not at all; a run that was cut off goes on to the same bits."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from optbias.rules import Adam, AdamW, GradientDescent, Lion
from optbias.training import Probes, TrainingError, checkpoints, train, train_many

PROGRAM = Path(__file__).with_name("kill_and_resume.py")


class Interrupted(Exception):
    """Stands for whatever ends a process."""


def interrupted_at(step):
    """A learning rate whose ``step``-th call fails."""

    def rate(t):
        if t == step:
            raise Interrupted
        return 0.02 / t**0.5

    return rate


def plain_rate(t):
    return 0.02 / t**0.5


OPTIONS = {
    "full batch": {"micro_batch": 25, "evaluate_every": 4},
    "mini-batches": {"batch_size": 8, "full_gradient_every": 3, "seed": 2, "evaluate_every": 5},
}


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("rule", [Adam(eps=1e-6, eps_inside=True), AdamW(bias_correction=False), Lion()], ids=repr)
def test_a_run_goes_on_to_the_same_bits(vectors, normalised, network, rule, kind, tmp_path):
    make = normalised if kind == "mini-batches" else network
    options = OPTIONS[kind] | {"probes": Probes(quantiles_every=1, every=2)}
    # first_rates is called with the steps 1, 2, 10, ... when the checkpoint is made.
    whole = train(make(), vectors, rule.replace(lr=plain_rate), 23, **options)
    path = tmp_path / "run.checkpoint"
    for step in (4, 9, 15):
        with pytest.raises(Interrupted):
            train(
                make(), vectors, rule.replace(lr=interrupted_at(step)), 23,
                checkpoint=path, checkpoint_seconds=0, resume=True, **options,
            )  # fmt: skip
    run = train(make(), vectors, rule.replace(lr=plain_rate), 23, checkpoint=path, resume=True, **options)
    assert run.facts["resumed_at"] == 14
    assert run.history.equals(whole.history)
    assert torch.equal(run.theta, whole.theta)
    again = train(make(), vectors, rule.replace(lr=plain_rate), 23, checkpoint=path, resume=True, **options)
    assert again.history.equals(whole.history)
    assert torch.equal(again.theta, whole.theta)


def test_a_finished_run_may_be_continued(vectors, network, tmp_path):
    whole = train(network(), vectors, Adam(), 20, probes=Probes(every=3))
    path = tmp_path / "run.checkpoint"
    train(network(), vectors, Adam(), 10, probes=Probes(every=3), checkpoint=path)
    run = train(network(), vectors, Adam(), 20, probes=Probes(every=3), checkpoint=path, resume=True)
    assert run.facts["resumed_at"] == 10
    assert run.history.equals(whole.history)
    with pytest.raises(ValueError, match="is at step 20, beyond steps=5"):
        train(network(), vectors, Adam(), 5, probes=Probes(every=3), checkpoint=path, resume=True)


@pytest.mark.parametrize("layer", ["dropout", "batch norm"])
def test_what_layers_remember_goes_on_too(vectors, network, normalised, tmp_path, layer):
    """Random state and running averages, at the last step too, where the gradient is computed once more."""

    def make():
        return normalised() if layer == "batch norm" else torch.nn.Sequential(network(), torch.nn.Dropout(0.2))

    whole = train(make(), vectors, Adam(), 12, evaluate_every=2)
    path = tmp_path / "run.checkpoint"
    train(make(), vectors, Adam(), 6, checkpoint=path, evaluate_every=2)
    run = train(make(), vectors, Adam(), 12, checkpoint=path, resume=True, evaluate_every=2)
    assert run.history.equals(whole.history)


def test_a_sweep_goes_on_where_it_was(vectors, network, tmp_path):
    settings = [(Adam(lr=lr), seed) for lr in (0.01, 0.02) for seed in (0, 1)]
    for stack in (True, False):
        whole = train_many(network, vectors, settings, 12, stack=stack)
        folder = tmp_path / str(stack)
        train_many(network, vectors, settings, 7, stack=stack, checkpoint=folder)
        found = train_many(network, vectors, settings, 12, stack=stack, checkpoint=folder, resume=True)
        for run, expected in zip(found, whole, strict=True):
            assert run.facts["resumed_at"] == 7
            assert run.history.equals(expected.history)
            assert torch.equal(run.theta, expected.theta)


def test_an_old_checkpoint_is_never_overwritten_by_another_run(vectors, network, tmp_path):
    path = tmp_path / "run.checkpoint"
    train(network(), vectors, Adam(lr=plain_rate), 3, checkpoint=path)
    with pytest.raises(ValueError, match="there is already a checkpoint.*resume=True, or delete it"):
        train(network(), vectors, Adam(lr=plain_rate), 3, checkpoint=path)
    for changed, word in [
        ({"rule": Adam(lr=0.5)}, "rules"),
        ({"rule": Adam(lr=lambda t: 0.02 / t**0.6)}, "rules"),
        ({"split": dataclasses.replace(vectors, inputs=vectors.inputs + 1)}, "data"),
        ({"batch_size": 10}, "batch_size"),
        ({"probes": Probes(every=2)}, "probes"),
        ({"fused": False}, "update"),
        ({"dtype": torch.float32}, "dtype"),
    ]:  # fmt: skip
        given = {"model": network(), "split": vectors, "rule": Adam(lr=plain_rate), "steps": 6, "checkpoint": path}
        with pytest.raises(ValueError, match=f"belongs to another run.*{word}"):
            train(**given | changed, resume=True)


def damage(path, how):
    raw = path.read_bytes()
    if how == "cut off":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "one bit":
        path.write_bytes(raw[:-100] + bytes([raw[-100] ^ 1]) + raw[-99:])
    else:
        path.write_bytes(pickle.dumps({"t": 5}))


@pytest.mark.parametrize("how", ["cut off", "empty", "one bit", "another file"])
def test_a_damaged_checkpoint_is_never_read(vectors, network, tmp_path, how, capsys):
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Interrupted):
        train(network(), vectors, Adam(lr=interrupted_at(8)), 12, checkpoint=path, checkpoint_seconds=0)
    damage(path, how)
    options = {"checkpoint": path, "resume": True}
    with pytest.raises(Interrupted):
        train(network(), vectors, Adam(lr=interrupted_at(9)), 12, **options)
    assert "going on from" in capsys.readouterr().out
    # Set aside, so that it cannot become the one before the next.
    assert path.with_name(path.name + ".damaged").exists()
    assert not path.exists()
    assert checkpoints.load(path)[0]["t"] == 6
    run = train(network(), vectors, Adam(lr=plain_rate), 12, **options)
    assert run.facts["resumed_at"] == 6
    assert run.history.equals(train(network(), vectors, Adam(lr=plain_rate), 12).history)
    damage(path, how)
    damage(checkpoints.previous(path), how)
    with pytest.raises(TrainingError, match="Delete the files to start from the beginning"):
        train(network(), vectors, Adam(lr=plain_rate), 12, **options)


def test_what_is_half_written_is_left_aside(vectors, network, tmp_path, monkeypatch):
    """A process that dies while it writes leaves a file of another name."""
    path = tmp_path / "run.checkpoint"
    train(network(), vectors, Adam(), 3, checkpoint=path)
    before = path.read_bytes()

    def dies(_):
        raise Interrupted

    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(Interrupted):
        checkpoints.save(path, {"t": 4})
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert checkpoints.load(path)[0]["t"] == 3


@pytest.mark.parametrize("where", ["write", "rename"])
def test_a_full_disk_ends_the_run_and_keeps_what_there_is(vectors, network, tmp_path, monkeypatch, where):
    path = tmp_path / "run.checkpoint"
    train(network(), vectors, Adam(), 5, checkpoint=path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync" if where == "write" else "replace", full)
    with pytest.raises(TrainingError, match="could not be written at step 12.*No space left.*resume=True") as caught:
        train(network(), vectors, Adam(), 12, checkpoint=path, resume=True)
    monkeypatch.undo()
    assert caught.value.run.history.equals(train(network(), vectors, Adam(), 12).history)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    run = train(network(), vectors, Adam(), 12, checkpoint=path, resume=True)
    assert run.history.equals(caught.value.run.history)


def test_a_diverged_run_keeps_its_history_on_disk(vectors, network, tmp_path):
    path = tmp_path / "run.checkpoint"
    rule = GradientDescent(lr=lambda t: 0.1 if t < 6 else 1e308)
    with pytest.raises(TrainingError) as caught:
        train(network(), vectors, rule, 20, checkpoint=path)
    with pytest.raises(TrainingError, match="the loss became") as again:
        train(network(), vectors, rule, 20, checkpoint=path, resume=True)
    assert again.value.run.history.equals(caught.value.run.history)
    assert torch.equal(again.value.run.theta, caught.value.run.theta) or caught.value.run.theta.isnan().any()


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_bits(tmp_path):
    """SIGKILL at random moments, some of them while a checkpoint is being written."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), "200", "12", "0"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 5, done.stdout
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert pd.read_pickle(cut / "history.pickle").equals(pd.read_pickle(whole / "history.pickle"))
    assert torch.equal(torch.load(cut / "theta.pt"), torch.load(whole / "theta.pt"))
