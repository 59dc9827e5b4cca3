"""Sweeps: every finished setting is kept, and who computes it does not matter."""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
import torch

from optbias.experiments import one_norm_hill, store, sweep
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import Outcome, Parts, SweepError, Where, grid, groups, key

BASE = Setting(
    "order", "digits", "residual-mlp", lr=1e-3, eps_inside=True, train_size=60, width=8, steps=6, norm="layer"
)


def one_by_one(settings):
    return groups(settings, together=lambda s: s, size=lambda s: 1)


def counting(fail_at=None):
    """An ``execute`` that notes what it ran, and raises at the setting whose seed is ``fail_at``."""
    ran = []

    def execute(group, where):
        outcomes = []
        for s in group:
            if s.seed == fail_at:
                raise RuntimeError("no more")
            ran.append(s.seed)
            history = pd.DataFrame({"step": [0, s.steps], "loss": [1.0, 1.0 / (1 + s.seed)]})
            outcomes.append(Outcome(history, {"seed": s.seed, "nan": float("nan")}))
        return outcomes

    return execute, ran


@pytest.mark.slow
def test_a_key_is_the_same_in_every_process_and_differs_between_settings():
    code = (
        "from optbias.experiments.runs import Setting; from optbias.experiments.sweep import key;"
        "print(key(Setting('order', 'digits', 'residual-mlp', lr=1e-3)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == key(Setting("order", "digits", "residual-mlp", lr=1e-3))
    settings = [dataclasses.replace(BASE, **change) for change in ({}, {"seed": 1}, {"lr": 2e-3}, {"beta": 0.5})]
    assert len({key(s) for s in settings}) == 4


def test_grid_is_the_product_in_order():
    found = grid(BASE, beta=(0.1, 0.2), seed=(3, 4))
    assert [(s.beta, s.seed) for s in found] == [(0.1, 3), (0.1, 4), (0.2, 3), (0.2, 4)]
    with pytest.raises(ValueError, match="no field gamma"):
        grid(BASE, gamma=(1,))


def test_groups_share_what_they_must_and_are_even():
    settings = [*grid(BASE, seed=range(9)), *grid(dataclasses.replace(BASE, width=4), seed=range(2))]
    cut = groups(settings, together=lambda s: s.width, size=lambda s: 8)
    assert [len(g) for g in cut] == [5, 4, 2]
    assert [s for g in cut for s in g] == settings
    with pytest.raises(ValueError, match="stands twice"):
        groups([BASE, BASE], together=lambda s: 0, size=lambda s: 8)


def test_a_run_of_two_studies_is_in_one_group_and_the_runs_of_a_study_are_whole_groups():
    a = [dataclasses.replace(s, study="a") for s in grid(BASE, rho=(0.9, 0.99, 0.999), seed=(0, 1))]
    b = [dataclasses.replace(s, study="b") for s in grid(BASE, rho=(0.99,), beta=(0.5, 0.9), seed=(0, 1))]
    assert len({key(s) for s in a + b}) == 8
    cut = groups(a + b, together=lambda s: s.width, size=lambda s: 8)
    assert sorted(key(s) for g in cut for s in g) == sorted({key(s) for s in a + b})
    for study in (a, b):
        keys = {key(s) for s in study}
        assert all(len(keys & {key(s) for s in g}) in (0, len(g)) for g in cut)
    # The order of the studies does not change the groups.
    other = groups(b + a, together=lambda s: s.width, size=lambda s: 8)
    assert {frozenset(map(key, g)) for g in cut} == {frozenset(map(key, g)) for g in other}


def test_a_name_is_made_of_what_changes_a_run():
    assert key(dataclasses.replace(BASE, study="another")) == key(BASE)
    assert key(dataclasses.replace(BASE, rho=0.99)) != key(BASE)

    @dataclasses.dataclass(frozen=True)
    class Older:
        study: str
        lr: float
        seed: int = 0

    @dataclasses.dataclass(frozen=True)
    class Younger(Older):
        dose: float = 0.0

    assert key(Younger("a", 0.1, 2)) == key(Older("a", 0.1, 2)) != key(Younger("a", 0.1, 2, dose=1.0))


def test_one_process_at_a_time_in_a_folder_and_a_failed_start_leaves_nothing(tmp_path):
    parts = Parts(tmp_path / "new" / "cpu.parts")

    def broken_off(*finished):
        with parts.alone():
            parts.begin({"n": 1}, resume=False)
            for setting in finished:
                parts.save(setting, Outcome(pd.DataFrame({"step": [0]})))
            raise KeyboardInterrupt

    with parts.alone():
        parts.begin({"n": 1}, resume=False)
        with (
            pytest.raises(SweepError, match="another process is running this sweep now.*wait") as refused,
            Parts(parts.folder).alone(),
        ):
            pass
        assert "remove" not in str(refused.value)
        assert parts.folder.exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        broken_off(BASE)
    assert parts.finished() == {key(BASE)}
    assert [p.name for p in parts.folder.parent.iterdir()] == ["cpu.parts"]


@pytest.mark.parametrize("folder", ["/proc/none", "{file}"])
def test_a_folder_that_cannot_be_written_is_refused_with_advice(folder, tmp_path):
    (tmp_path / "file").write_text("keep")
    parts = Parts(os.path.join(folder.format(file=tmp_path / "file"), "cpu.parts"))
    with pytest.raises(SweepError, match="cannot write into .*: choose another folder with --out"), parts.alone():
        pass
    assert (tmp_path / "file").read_text() == "keep"


def reports_its_device(group, where):
    return [Outcome(pd.DataFrame({"step": [0]}), {"device": where.device, "pid": os.getpid()}) for _ in group]


@pytest.mark.slow
def test_each_worker_has_a_device_of_its_own(tmp_path):
    settings = grid(BASE, seed=range(12))
    devices = [f"cuda:{i}" for i in range(2)]
    found = sweep.run(
        reports_its_device, one_by_one(settings), Parts(tmp_path), Where("cuda:0"), workers=2, devices=devices
    )
    by_process = {(o.summary["pid"], o.summary["device"]) for o in found.values()}
    assert len({pid for pid, _ in by_process}) == len(by_process)
    assert {device for _, device in by_process} <= set(devices)
    assert len(by_process) == 1 or {device for _, device in by_process} == set(devices)


def test_a_sweep_that_failed_goes_on_where_it_was(tmp_path):
    settings = grid(BASE, seed=range(5))
    parts = Parts(tmp_path / "parts")
    parts.begin({"n": 5}, resume=False)
    execute, ran = counting(fail_at=3)
    with pytest.raises(SweepError, match="a run failed: RuntimeError: no more"):
        sweep.run(execute, one_by_one(settings), parts)
    assert ran == [0, 1, 2]
    assert len(parts.finished()) == 3
    # What a killed writer leaves is no result.
    (tmp_path / "parts" / f"{key(settings[3])}.parquet-xyz.part").write_bytes(b"half")
    parts.begin({"n": 5}, resume=True)
    execute, ran = counting()
    found = sweep.run(execute, one_by_one(settings), parts)
    assert ran == [3, 4]
    assert [o.summary["seed"] for o in found.values()] == [0, 1, 2, 3, 4]
    assert found[settings[2]].summary["nan"] is None
    table = sweep.tidy(found)
    assert list(table["seed"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert table.loc[table["run"] == key(settings[4]), "loss"].tolist() == [1.0, 0.2]


def test_what_a_killed_process_left_does_not_keep_the_folder(tmp_path):
    parts = Parts(tmp_path / "parts")
    parts.begin({"n": 2}, resume=False)
    other = dataclasses.replace(BASE, seed=1)
    for setting in (BASE, other):
        parts.save(setting, Outcome(pd.DataFrame({"step": [0]})))
    (parts.folder / f"{key(BASE)}.parquet-xyz.part").write_bytes(b"half")
    parts.keep({key(other)})
    assert parts.finished() == {key(other)}
    parts.keep(())
    assert not parts.folder.exists()


def test_another_sweep_is_not_mixed_in(tmp_path):
    parts = Parts(tmp_path / "parts")
    parts.begin({"preset": "cpu", "n": 1}, resume=True)  # nothing there yet: resuming is beginning
    parts.begin({"preset": "cpu", "n": 1}, resume=False)  # nothing was finished: so is beginning again
    parts.save(BASE, Outcome(pd.DataFrame({"step": [0]})))
    with pytest.raises(SweepError, match="--resume"):
        parts.begin({"preset": "cpu", "n": 1}, resume=False)
    with pytest.raises(SweepError, match="another sweep .different: preset"):
        parts.begin({"preset": "smoke", "n": 1}, resume=True)
    # Data are compared set by set: a study may add its own, and none may change.
    parts.begin({"preset": "cpu", "n": 1, "data": {"digits, 60": {"checksum": "a"}}}, resume=True)
    parts.begin({"preset": "cpu", "n": 1, "data": {"words, 32": {"checksum": "b"}}}, resume=True)
    with pytest.raises(SweepError, match="another sweep .different: digits, 60"):
        parts.begin({"preset": "cpu", "n": 1, "data": {"digits, 60": {"checksum": "c"}}}, resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep")
    with pytest.raises(SweepError, match="not empty and holds no sweep"):
        Parts(tmp_path / "mine").begin({}, resume=False)


def test_a_full_disk_ends_with_what_was_kept(tmp_path, monkeypatch):
    parts = Parts(tmp_path)
    execute, _ = counting()
    save, saved = Parts.save, []

    def full(self, setting, outcome):
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(setting)
        save(self, setting, outcome)

    monkeypatch.setattr(Parts, "save", full)
    with pytest.raises(SweepError, match="No space left on device. 2 settings are kept .* make room"):
        sweep.run(execute, one_by_one(grid(BASE, seed=range(4))), parts)
    assert len(parts.finished()) == 2


def test_a_field_and_a_measured_column_do_not_share_a_name():
    with pytest.raises(ValueError, match="one name: seed"):
        sweep.tidy({BASE: Outcome(pd.DataFrame({"step": [0], "seed": [1.0]}))})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"workers": 0}, ValueError, "workers must be an integer >= 1"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, ValueError, "not both"),
        *(
            ({"scheduler": address}, SweepError, "no Dask scheduler answers at ")
            for address in ("nonsense", "nonsense:1", "xyz://a:1", ":", "tcp://nohost.invalid:1")
        ),
    ],
)
def test_bad_use(options, error, message, tmp_path, capfd):
    with pytest.raises(error, match=message):
        sweep.run(counting()[0], one_by_one([BASE]), Parts(tmp_path), **options)
    gc.collect()
    assert "Traceback" not in capfd.readouterr().err


def test_without_dask_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SweepError, match="pip install"):
        sweep.run(counting()[0], one_by_one([BASE]), Parts(tmp_path), scheduler="tcp://127.0.0.1:1")


def test_the_number_of_threads_is_put_back(tmp_path):
    torch.set_num_threads(2)
    seen = []

    def execute(group, where):
        seen.append(torch.get_num_threads())
        return [Outcome(pd.DataFrame({"step": [0]})) for _ in group]

    sweep.run(execute, one_by_one([BASE]), Parts(tmp_path))
    assert seen == [1]
    assert torch.get_num_threads() == 2


SETTINGS = [
    *grid(BASE, beta=(0.5, 0.9), rho=(0.9, 0.99), seed=(0, 1)),
    dataclasses.replace(BASE, width=12),
    dataclasses.replace(BASE, width=16, steps=9),
]


def cut_of(settings):
    return groups(settings, together=lambda s: (s.width, s.beta), size=lambda s: 2)


def timeless(outcomes):
    """What must not depend on who computed it."""
    return {s: (o.history, {k: v for k, v in o.summary.items() if "seconds" not in k}) for s, o in outcomes.items()}


def assert_same(found, expected):
    found, expected = timeless(found), timeless(expected)
    assert list(found) == list(expected)
    for setting, (history, summary) in expected.items():
        pd.testing.assert_frame_equal(found[setting][0], history, check_exact=True)
        assert found[setting][1] == summary


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return sweep.run(one_norm_hill.execute, cut_of(SETTINGS), Parts(tmp_path_factory.mktemp("alone")))


@pytest.mark.slow
def test_two_processes_compute_the_same(alone, tmp_path):
    assert_same(sweep.run(one_norm_hill.execute, cut_of(SETTINGS), Parts(tmp_path), workers=2), alone)


@pytest.mark.slow
def test_a_killed_process_loses_nothing(alone, tmp_path, monkeypatch):
    parts, save = Parts(tmp_path), Parts.save
    import multiprocessing

    def save_and_kill(self, setting, outcome):
        save(self, setting, outcome)
        if len(self.finished()) == 2:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    monkeypatch.setattr(Parts, "save", save_and_kill)
    assert_same(sweep.run(one_norm_hill.execute, cut_of(SETTINGS), parts, workers=2), alone)


@pytest.mark.slow
def test_a_dask_worker_killed_in_mid_sweep_loses_nothing(alone, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        killed, save = [], Parts.save

        def save_and_kill(self, setting, outcome):
            save(self, setting, outcome)
            if not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        monkeypatch.setattr(Parts, "save", save_and_kill)
        found = sweep.run(
            one_norm_hill.execute,
            cut_of(SETTINGS),
            Parts(tmp_path / "parts"),
            Where(),
            scheduler=cluster.scheduler_address,
        )
    assert killed
    assert_same(found, alone)


def test_an_unreadable_part_is_an_error_not_a_result(tmp_path):
    parts = Parts(tmp_path)
    store.save_json({}, tmp_path / sweep.PLAN)
    (tmp_path / f"{key(BASE)}.parquet").write_bytes(b"not a table")
    with pytest.raises(Exception, match="(?i)parquet"):
        sweep.run(counting()[0], one_by_one([BASE]), parts)
