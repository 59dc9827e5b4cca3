"""The command line of the reproductions, and what it leaves behind."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from optbias.__main__ import main
from optbias.experiments import checks, linf_constraint, one_norm_hill, reproduce, results, runs, store, sweep
from optbias.experiments.preset import PRESETS
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import grid

EXPERIMENTS = {"linf-constraint": linf_constraint, "one-norm-hill": one_norm_hill}

recorded = functools.cache(results.load)

TINY = Setting(
    "order-rho", "digits", "residual-mlp", lr=1e-3, eps_inside=True, train_size=60, width=8, steps=12, norm="layer",
    evaluate_every=6,
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    """The hill's smoke size, made of eight runs of twelve steps."""
    settings = grid(TINY, rho=(0.9, 0.999), seed=(0, 1, 2))
    monkeypatch.setattr(one_norm_hill, "_smoke", lambda: settings)
    monkeypatch.setattr(runs, "available", lambda name, folder=None: False)
    return settings


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """No downloaded data anywhere."""
    monkeypatch.delenv("OPTBIAS_DATA", raising=False)
    monkeypatch.setenv("OPTBIAS_CACHE", str(tmp_path / "cache"))


def test_without_a_command_it_shows_what_there_is(capsys):
    assert main([]) == 0
    assert "reproduce" in capsys.readouterr().out


def test_a_keyboard_interrupt_while_a_module_is_imported_is_no_traceback(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)
    assert main(["reproduce", "one-norm-hill"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_help_names_every_argument_of_the_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "linf-constraint",
        "one-norm-hill",
        *PRESETS,
        "--device",
        "--out",
        "--resume",
        "--workers",
        "--scheduler",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "--workers must be a whole number >= 1; got 0"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "not both"),
        (["--data", "/no/such/folder"], "--data must be a folder"),
        *((["--device", device], "device must be") for device in ("abacus", "mps", "meta", "cpu:1", "xla")),
        *((["--device", device], "a GPU that torch does not see") for device in ("cuda", "cuda:0", "cuda:99")),
        (["--scheduler", "nonsense"], "no Dask scheduler answers at nonsense"),
        (["--study", "nonsense"], "the preset cpu has no study 'nonsense'; it has order-rho, "),
    ],
)
def test_wrong_use_is_said_clearly(arguments, message, capsys, tmp_path):
    assert main(["reproduce", "one-norm-hill", "--out", str(tmp_path / "new"), *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told.splitlines()[-1]
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_recorded_and_shown_again(tiny, tmp_path, capsys):
    arguments = ["reproduce", "one-norm-hill", "--preset", "smoke", "--out", str(tmp_path)]
    status = main(arguments)
    told = capsys.readouterr().out
    assert "6 runs, 72 steps in all, seeds 0, 1, 2, on cpu, 1 worker" in told
    assert "to go" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "report.html", "smoke-order-rho.png", "smoke.json", "smoke.parquet",
    ]  # fmt: skip
    record = results.load("one-norm-hill", "smoke", tmp_path)
    # Twelve steps reach no level: what was tested is said to be untested, and nothing holds by accident.
    assert status == (1 if checks.failed(record.checks) else 0)
    assert list(record.results.outcomes) == tiny
    assert record.provenance["runs"] == 6
    assert record.provenance["data"][0]["name"] == "digits"
    assert str(tmp_path) not in (tmp_path / "smoke.json").read_text()

    assert main(arguments) == 2
    assert "--resume shows it again" in capsys.readouterr().err
    assert main([*arguments, "--resume"]) == status
    assert told.endswith(capsys.readouterr().out)
    page = (tmp_path / "report.html").read_text()
    assert "1 pictures in" in told
    assert page.count("data:image/png;base64,") == page.count("<img") == 1
    assert not re.search(r"(src|href)=.(?!data:)|@import|url\(", page)
    for word in ("order-rho", "What the run says about itself", "How it was made", "cpu_seconds", "CIFAR-10"):
        assert word in page
    assert str(tmp_path) not in page


@pytest.fixture
def apart(monkeypatch):
    """The hill's smoke size as two studies that share three runs."""
    rho = grid(TINY, rho=(0.9, 0.999), seed=(0, 1, 2))
    beta = grid(dataclasses.replace(TINY, study="order-beta", rho=0.999), beta=(0.5, 0.9), seed=(0, 1, 2))
    monkeypatch.setattr(one_norm_hill, "_smoke", lambda: [*rho, *beta])
    monkeypatch.setattr(runs, "available", lambda name, folder=None: False)
    monkeypatch.setattr(reproduce, "APART", ("smoke",))
    trained = []

    def execute(group, where):
        trained.extend(sweep.key(s) for s in group)
        return train(group, where)

    train = one_norm_hill.execute
    monkeypatch.setattr(one_norm_hill, "execute", execute)
    return rho, beta, trained


def without_times(results):
    return {
        s: (o.history, {name: value for name, value in o.summary.items() if "seconds" not in name})
        for s, o in results.outcomes.items()
    }


def test_studies_are_recorded_one_by_one_and_a_shared_run_is_trained_once(apart, tmp_path, capsys, monkeypatch):
    rho, beta, trained = apart
    command = ["reproduce", "one-norm-hill", "--preset", "smoke"]
    main([*command, "--out", str(tmp_path / "all")])
    told = capsys.readouterr().out
    assert "9 runs, 108 steps in all" in told
    assert sorted(trained) == sorted({sweep.key(s) for s in rho + beta})
    assert sorted(str(p.relative_to(tmp_path / "all")) for p in (tmp_path / "all").rglob("*.*")) == [
        "report.html", "smoke-order-beta.png", "smoke-order-rho.png",
        "smoke/order-beta.json", "smoke/order-beta.parquet", "smoke/order-rho.json", "smoke/order-rho.parquet",
    ]  # fmt: skip
    whole = results.load("one-norm-hill", "smoke", tmp_path / "all")
    assert set(whole.results.outcomes) == {*rho, *beta}
    assert whole.provenance["runs"] == 9
    assert set(whole.provenance["studies"]) == {"order-rho", "order-beta"}

    # One after another, the second first: the same numbers, and the three shared runs are not trained again.
    trained.clear()
    one = [*command, "--out", str(tmp_path / "one")]
    main([*one, "--study", "order-beta"])
    assert len(trained) == 6
    assert main([*one, "--study", "order-beta"]) == 2
    assert "order-beta.json is there already: --resume shows it again" in capsys.readouterr().err
    main([*one, "--study", "order-rho", "--resume"])
    assert len(trained) == 9
    assert {"smoke", "report.html"} == {p.name for p in (tmp_path / "one").iterdir() if p.suffix != ".png"}
    again = results.load("one-norm-hill", "smoke", tmp_path / "one")
    expected = without_times(whole.results)
    for setting, (history, summary) in without_times(again.results).items():
        pd.testing.assert_frame_equal(history, expected[setting][0], check_exact=True)
        assert summary == expected[setting][1]
    only = results.load("one-norm-hill", "smoke", tmp_path / "one", study="order-rho")
    assert list(only.results.outcomes) == rho
    assert only.provenance["runs_from_before"] == 3
    assert results.load("one-norm-hill", "smoke", tmp_path / "one", study="grid") is None
    assert list(results.load("one-norm-hill", "smoke/order-rho", tmp_path / "one").results.outcomes) == rho
    # The same from a checkout's results/.
    (tmp_path / "results").mkdir()
    (tmp_path / "one").rename(tmp_path / "results" / "one-norm-hill")
    monkeypatch.chdir(tmp_path)
    assert list(results.load("one-norm-hill", "smoke").results.outcomes) == list(again.results.outcomes)
    for how in ({"preset": "smoke", "study": "order-rho"}, {"preset": "smoke/order-rho"}):
        assert list(results.load("one-norm-hill", **how).results.outcomes) == rho


def test_a_sweep_of_studies_goes_on_with_those_that_are_missing(apart, tmp_path, monkeypatch, capsys):
    rho, beta, trained = apart
    command = ["reproduce", "one-norm-hill", "--preset", "smoke", "--out", str(tmp_path)]
    execute, calls = one_norm_hill.execute, []

    def interrupted(group, where):
        calls.append(group)
        if group[0].study == "order-beta":
            raise KeyboardInterrupt
        return execute(group, where)

    monkeypatch.setattr(one_norm_hill, "execute", interrupted)
    assert main(command) == 130
    assert (tmp_path / "smoke" / "order-rho.json").exists()
    assert len(trained) == 6
    monkeypatch.setattr(one_norm_hill, "execute", execute)
    assert main(command) == 2
    assert "order-rho.json is there already: --resume goes on with what is missing" in capsys.readouterr().err
    main([*command, "--resume"])
    assert len(trained) == 9
    assert {"smoke", "report.html"} == {p.name for p in tmp_path.iterdir() if p.suffix != ".png"}


def test_the_list_says_what_there_is_what_it_costs_and_what_it_needs(apart, capsys, tmp_path):
    assert main(["reproduce", "one-norm-hill", "--list", "--preset", "smoke"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"order-rho +6 runs +72 steps +\d+ s +digits", told)
    # Three of its six runs are counted above.
    assert re.search(r"order-beta +3 runs +36 steps +\d+ s +digits", told)
    assert main(["reproduce"]) == 2
    assert "say which experiment: linf-constraint, one-norm-hill" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_cluster_has_its_own_devices_and_is_neither_measured_nor_refused(device, tiny, tmp_path, monkeypatch):
    def broken(*_):
        raise AssertionError("measured on the client")

    def on_workers(execute, cut, parts, where, *, scheduler, **_):
        asked.append((where.device, scheduler))
        return run(execute, cut, parts, sweep.Where("cpu"))

    asked, run = [], sweep.run
    monkeypatch.setattr(runs, "cost_model", broken)
    monkeypatch.setattr(sweep, "run", on_workers)
    command = ["reproduce", "one-norm-hill", "--preset", "smoke", "--out", str(tmp_path)]
    assert main([*command, "--scheduler", "tcp://there:1", "--device", device]) in (0, 1)
    assert asked == [(device, "tcp://there:1")]
    made = results.load("one-norm-hill", "smoke", tmp_path).provenance
    assert (made["device"], made["workers"]) == ("of the cluster's workers: cpu", "Dask")


def test_gpus_are_shared_among_workers(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert (
        reproduce._devices("auto", "cuda:0") == reproduce._devices("cuda", "cuda:0") == ["cuda:0", "cuda:1", "cuda:2"]
    )
    assert reproduce._devices("cuda:1", "cuda:1") == ["cuda:1"]
    assert reproduce._devices("auto", "cpu") == ["cpu"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert str(reproduce._device("cuda:2")) == "cuda:2"
    with pytest.raises(ValueError, match="there are cuda:0 to cuda:2"):
        reproduce._device("cuda:3")


def test_two_commands_on_one_folder_do_not_work_twice(tiny, tmp_path, capsys, monkeypatch):
    command = ["reproduce", "one-norm-hill", "--preset", "smoke", "--out", str(tmp_path), "--resume"]
    statuses = []
    execute = one_norm_hill.execute

    def second(group, where):
        statuses.append(main(command))
        return execute(group, where)

    monkeypatch.setattr(one_norm_hill, "execute", second)
    main(command)
    assert statuses == [2] * len(statuses)
    told = capsys.readouterr()
    assert "another process is running this sweep now" in told.err
    assert "recorded in" in told.out


@pytest.mark.parametrize("moment", ["estimate", "data"])
def test_a_start_that_is_broken_off_leaves_nothing(moment, tiny, tmp_path, monkeypatch):
    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, {"estimate": "cost_model", "data": "describe_data"}[moment], broken)
    assert main(["reproduce", "one-norm-hill", "--preset", "smoke", "--out", str(tmp_path / "new")]) == 130
    assert list(tmp_path.iterdir()) == []


def test_the_exit_status_says_whether_a_check_failed(tiny, tmp_path, monkeypatch):
    for name, bound, expected in (("good", 10.0, 0), ("bad", 0.0, 1)):
        failing = dataclasses.replace(
            one_norm_hill.EXPERIMENT,
            check=lambda preset, found, bound=bound: [checks.check("a", "s", found.values("loss"), below=bound)],
        )
        monkeypatch.setattr(one_norm_hill, "EXPERIMENT", failing)
        out = str(tmp_path / name)
        assert main(["reproduce", "one-norm-hill", "--preset", "smoke", "--out", out]) == expected


def test_a_failed_run_ends_with_its_reason(tiny, tmp_path, monkeypatch, capsys):
    def broken(group, where):
        raise MemoryError("too little")

    monkeypatch.setattr(one_norm_hill, "execute", broken)
    assert main(["reproduce", "one-norm-hill", "--preset", "smoke", "--out", str(tmp_path)]) == 2
    assert "a run failed: MemoryError: too little" in capsys.readouterr().err


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_preset_has_a_plan_with_and_without_data(name, preset, monkeypatch):
    experiment = EXPERIMENTS[name].EXPERIMENT
    assert set(experiment.sizes) == set(PRESETS)
    for there in (True, False):
        monkeypatch.setattr(runs, "available", lambda name, folder=None, there=there: there)
        plan = experiment.plan(preset, None)
        assert bool(plan.skipped) is not there
        assert len(set(plan.settings)) == len(plan.settings)
        for study in plan.studies:
            keys = [sweep.key(s) for s in plan.of(study)]
            assert len(set(keys)) == len(keys)
        names = {s.data for s in plan.settings}
        if there:
            assert not any(n.startswith("generated") for n in names)
        else:
            assert all(n.startswith("generated") or n == "digits" for n in names)
    if preset in ("cpu",):
        assert {s.seed for s in plan.settings} >= {0, 1, 2}


def test_without_cifar_the_hill_is_not_run_and_not_faked(no_data):
    plan = one_norm_hill.plan("cpu", None)
    assert {"hill-rho", "hill-beta", "minibatch-hill"} <= set(plan.skipped)
    found = one_norm_hill.check("cpu", results.Results({}, plan.skipped))
    hill = [c for c in found if c.name in ("hill-rho", "hill-beta", "minibatch-hill")]
    assert [c.verdict for c in hill] == ["not run"] * 3
    assert all("needs CIFAR-10" in c.reason for c in hill)


def test_the_data_folder_is_found_by_argument_and_never_recorded(no_data, tmp_path):
    assert not runs.available("ptb-words")
    assert linf_constraint.plan("smoke", None).settings[0].data == "generated-words"
    options = ["one-norm-hill", "--data", str(tmp_path), "--workers", "3"]
    import argparse

    parser = argparse.ArgumentParser()
    reproduce.configure(parser)
    command = reproduce._command(parser.parse_args(options))
    assert command == "python -m optbias reproduce one-norm-hill --preset cpu --data DIR --workers 3"


# ---- the smoke size, for real -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Both experiments at the smoke size without downloaded data, each in one process."""
    records = {}
    for name in EXPERIMENTS:
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("OPTBIAS_DATA", raising=False)
            patch.setenv("OPTBIAS_CACHE", str(folder / "cache"))
            status = main(["reproduce", name, "--preset", "smoke", "--out", str(folder), "--device", "cpu"])
        records[name] = status, results.load(name, "smoke", folder)
    return records


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_what_must_be_seen_is_seen_at_the_smoke_size(smoke, name):
    status, record = smoke[name]
    assert checks.failed(record.checks) == []
    assert status == 0
    assert sum(c.holds is True for c in record.checks) >= {"linf-constraint": 18, "one-norm-hill": 10}[name]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_table(smoke, tmp_path):
    _, expected = smoke["one-norm-hill"]
    arguments = [
        *(sys.executable, "-m", "optbias", "reproduce", "one-norm-hill", "--preset", "smoke"),
        *("--out", str(tmp_path), "--workers", "2", "--device", "cpu"),
    ]
    environment = {k: v for k, v in os.environ.items() if k != "OPTBIAS_DATA"}
    environment["OPTBIAS_CACHE"] = str(tmp_path / "cache")
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = tmp_path / "smoke.parts"
    deadline = time.monotonic() + 300
    while len(list(parts.glob("*.parquet"))) < 3:
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(list(parts.glob("*.parquet")))
    refused = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "holds an unfinished sweep" in refused.stderr
    resumed = subprocess.run([*arguments, "--resume"], env=environment, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    found = results.load("one-norm-hill", "smoke", tmp_path)
    assert kept <= found.provenance["runs_from_before"] < len(found.results.outcomes)
    pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)
    assert not parts.exists()


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


@pytest.mark.slow
def test_several_processes_reproduce_what_one_does(tmp_path):
    program = str(Path(__file__).with_name("reproduce_in_processes.py"))
    environment = {k: v for k, v in os.environ.items() if k != "OPTBIAS_DATA"}
    environment |= {"OMP_NUM_THREADS": "1", "OPTBIAS_CACHE": str(tmp_path / "cache")}
    told = {}
    for name, launcher in {"one": [sys.executable], "two": TORCHRUN}.items():
        arguments = [*launcher, program, "--out", str(tmp_path / name), "--device", "cpu"]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300)
        assert (tmp_path / name / "smoke.json").exists(), done.stderr
        assert {p.suffix for p in (tmp_path / name).iterdir()} == {".json", ".parquet", ".png", ".html"}
        told[name] = done.stdout
    assert "each shared by 2 processes" in told["two"]
    assert told["two"].count("recorded in") == 1
    one, two = (results.load("one-norm-hill", "smoke", tmp_path / name) for name in ("one", "two"))
    assert (two.provenance["processes"], two.provenance["workers"]) == (2, 1)
    assert list(one.results.outcomes) == list(two.results.outcomes)
    assert len(one.results.outcomes) == 6
    for setting, outcome in one.results.outcomes.items():
        other = two.results.outcomes[setting].summary
        # The table is in float32; what was computed from all steps is in the summary, in full.
        for path in ("loss", "hill/top", "hill/end", "accuracy"):
            assert results.at(other, path) == pytest.approx(results.at(outcome.summary, path), rel=1e-12), path
    # A refusal ends all of them.
    again = subprocess.run(
        [*TORCHRUN, program, "--out", str(tmp_path / "two"), "--device", "cpu"],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert again.returncode != 0
    assert "smoke.json is there already" in again.stderr


# ---- the checks themselves can fail -------------------------------------------------------------------------------


def spoiled(record, change):
    """The results of a record with each summary changed by ``change(setting, summary)``."""
    outcomes = {}
    for setting, outcome in record.results.outcomes.items():
        summary = json.loads(json.dumps(outcome.summary))
        change(setting, summary)
        outcomes[setting] = dataclasses.replace(outcome, summary=summary)
    return results.Results(outcomes, record.results.skipped)


def box(field, value, **fields):
    def change(setting, summary):
        if all(getattr(setting, name) == wanted for name, wanted in fields.items()):
            summary["box"][field] = value

    return change


def at_loss(**fields):
    """Turn the order round: the norm at loss 1 of these settings becomes much smaller."""

    def change(setting, summary):
        if all(getattr(setting, name) == wanted for name, wanted in fields.items()):
            for found in summary["at_loss"].values():
                if found:
                    found["value"] *= 0.5

    return change


def flat_gap(setting, summary):
    summary["kkt_gap"] = [0.9] * 20
    summary["share_on_box"] = [0.0] * 20


def hill(**ratios):
    return lambda setting, summary: summary["hill"].update(ratios)


@pytest.mark.parametrize(
    ("name", "change", "fails"),
    [
        ("linf-constraint", box("bound_ratio", 1.001, study="box", weight_decay=2.0), "invariant: started outside"),
        ("linf-constraint", box("bound_ratio", 1.001, study="inside"), "invariant: started inside"),
        ("linf-constraint", box("bound_ratio", 1.001, norm="pre"), "invariant: transformer with normalisation"),
        ("linf-constraint", box("bound_ratio", 1.001, study="minibatch"), "invariant: mini-batches"),
        ("linf-constraint", box("envelope_ratio", 1.001, optimizer="AdamW"), "contraction"),
        ("linf-constraint", box("end", 0.7, study="kkt"), "ends on 1/lambda"),
        ("linf-constraint", box("end", 1.0, optimizer="Adam"), "Adam: "),
        ("linf-constraint", box("end", 1.0, optimizer="Adam+L2"), "Adam+L2: "),
        ("linf-constraint", box("largest", 4.0, beta=0.99, rho=0.9), "beta1 > beta2"),
        ("linf-constraint", box("overshoot", 1.0, beta=0.9, rho=0.999), "beta1 < beta2 overshoots"),
        ("linf-constraint", flat_gap, "KKT gap"),
        ("linf-constraint", flat_gap, "boundary"),
        ("one-norm-hill", at_loss(study="order-rho", rho=0.999, seed=1), "order-rho"),
        ("one-norm-hill", at_loss(study="order-beta", beta=0.3, seed=2), "order-beta"),
        ("one-norm-hill", at_loss(study="grid", rho=0.999), "collapse"),
        ("one-norm-hill", at_loss(study="minibatch-rho", rho=0.999, seed=0), "minibatch-rho"),
        ("one-norm-hill", hill(rise=1.5), "no hill on digits"),
        ("one-norm-hill", hill(rise=1.0), "hill-rho, rise"),
        ("one-norm-hill", hill(first_fall=1.0), "hill-beta, first_fall"),
        ("one-norm-hill", hill(fall=1.0), "hill-rho, fall"),
        ("one-norm-hill", hill(top=100.0), "hill-rho, order"),
        ("one-norm-hill", hill(top=100.0), "hill-beta, order"),
        ("one-norm-hill", hill(rise=1.0), "minibatch-hill, rise"),
        ("one-norm-hill", hill(first_fall=1.0), "minibatch-hill, first_fall"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_record_with_another_outcome_fails(name, change, fails):
    record = recorded(name, "cpu")
    before = {c.name for c in checks.failed(EXPERIMENTS[name].check("cpu", record.results))}
    after = {c.name for c in checks.failed(EXPERIMENTS[name].check("cpu", spoiled(record, change)))}
    assert any(found.startswith(fails) for found in after - before), after - before


# ---- the recorded runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_the_recorded_run_is_complete_and_holds(name, monkeypatch):
    monkeypatch.setattr(runs, "available", lambda name, folder=None: True)
    record = recorded(name, "cpu")
    experiment = EXPERIMENTS[name].EXPERIMENT
    assert set(record.results.outcomes) == set(experiment.plan("cpu", None).settings)
    assert checks.failed(record.checks) == []
    assert not [c for c in record.checks if c.verdict == "not run"]
    # The checks that stand in the record are those of today's code on today's summaries.
    assert checks.to_records(experiment.check("cpu", record.results)) == checks.to_records(record.checks)
    assert {"command", "date", "seconds", "cpu_seconds", "device", "threads", "seeds", "versions", "data"} <= set(
        record.provenance
    )
    assert record.provenance["seeds"] == [0, 1, 2]
    assert record.provenance["cpu_seconds"] < 2 * 180  # three minutes on two cores
    assert all(o.summary["ended"] == "finished" for o in record.results.outcomes.values())


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_a_record_is_small_and_names_no_machine(name):
    table, head = store.find(name, "cpu.parquet"), store.find(name, "cpu.json")
    assert table.stat().st_size < 1_000_000
    assert head.stat().st_size < 400_000
    record = store.read_json(head)
    texts = [record["provenance"]["command"], *(str(d) for d in record["provenance"]["data"])]
    assert not any(word in text for text in texts for word in ("/work", "/home", "/root", "/tmp"))
    assert "--data DIR" in record["provenance"]["command"]


def test_the_recorded_hill_says_that_its_images_were_encoded_again():
    data = recorded("one-norm-hill", "cpu").provenance["data"]
    cifar = [d for d in data if d["data"].startswith("cifar10")]
    assert cifar
    assert all("JPEG re-encoding" in d["name"] for d in cifar if d["lossy"])
    assert all(d["checksum"].startswith(("sha256:", "md5:")) for d in cifar)


def test_a_recorded_run_is_what_the_code_does():
    record = recorded("one-norm-hill", "cpu").results
    setting = record.select(study="order-rho", rho=0.999, seed=1)[0]
    # Its first 120 steps; another processor may round differently, and training amplifies it.
    (again,) = one_norm_hill.execute((dataclasses.replace(setting, steps=120),), sweep.Where())
    for level in ("2", "1.5", "1"):
        expected = record.value(setting, f"at_loss/{level}/value")
        assert again.summary["at_loss"][level]["value"] == pytest.approx(expected, rel=2e-3)
