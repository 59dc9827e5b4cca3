"""Calling and comparing answers: copies, time, noise, words; and what the public checks print."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from optbias import exercises
from optbias.exercises import Answer, CheckFailed, _answers, _tasks, check, exam, moved, same, same_run, task
from optbias.exercises._answers import duplicate, identical, time_limit
from optbias.exercises._compare import numbers


def answer(function, **options):
    return Answer("a-task", function, shown_as="f", seconds=options.pop("seconds", 2.0), **options)


# -- calling -------------------------------------------------------------------------------------------------------


def test_arguments_are_copies_so_nothing_reaches_the_test():
    def spoil(x, state):
        x.zero_()
        state["m"].fill_(7.0)
        state["new"] = 1
        return x

    x, state = torch.ones(3), {"m": torch.ones(2), "list": [1, 2]}
    answer(spoil)(x, state)
    assert torch.equal(x, torch.ones(3))
    assert identical(state, {"m": torch.ones(2), "list": [1, 2]})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x, s: x.add_(1.0),
        lambda x, s: s["m"].mul_(2.0),
        lambda x, s: s.update(t=5),
        lambda x, s: s.pop("t"),
        lambda x, s: s["list"].append(1),
        lambda x, s: s["a"].__setitem__(0, 5.0),
        lambda x, s: s.__setitem__("m", s["m"].float()),
    ],
)
def test_pure_notices_every_change_of_an_argument(spoil):
    x, state = torch.ones(3), {"m": torch.ones(2), "t": 1, "list": [1], "a": np.zeros(2)}
    with pytest.raises(CheckFailed, match=r"f changes (x|state), which it was given"):
        answer(spoil, arguments=("x", "state")).pure(x, state)
    assert state["t"] == 1
    assert answer(lambda x, s: x + 1, arguments=("x", "state")).pure(x, state).sum() == 6


def test_noise_is_kept_away_from_an_examination(capfd):
    def noisy():
        print("out")
        print("err", file=sys.stderr)
        os.write(2, b"fd 2\n")
        warnings.warn("a warning", stacklevel=1)
        return 1

    assert answer(noisy)() == 1
    assert capfd.readouterr() == ("", "")
    print("afterwards", file=sys.stderr)
    os.write(2, b"fd\n")
    assert "afterwards" in (said := capfd.readouterr().err)
    assert "fd" in said


def test_a_function_that_takes_too_long_is_stopped():
    def forever():
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    asked = answer(forever, seconds=0.2)
    started = time.monotonic()
    with pytest.raises(CheckFailed, match=r"f took longer than the 0.2 seconds"):
        asked()
    assert time.monotonic() - started < 5


def test_the_time_of_one_test_is_for_all_its_calls_together():
    asked = answer(lambda: time.sleep(0.12), seconds=0.29)
    asked()
    asked()
    with pytest.raises(CheckFailed, match="longer"):
        asked()
    with pytest.raises(CheckFailed, match="longer"):
        asked()


def test_a_timer_that_was_running_goes_on():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with time_limit(5.0):
            time.sleep(0.05)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 0.05 < left < 0.3
        time.sleep(0.4)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_where_there_are_no_signals_the_limit_is_left_to_the_notebook():
    values = []
    thread = threading.Thread(target=lambda: values.append(answer(lambda: 3, seconds=0.01)()))
    thread.start()
    thread.join()
    assert values == [3]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 1 / 0, "f raised ZeroDivisionError: division by zero"),
        (lambda: sys.exit(3), "f raised SystemExit: 3"),
        (lambda: exec("raise NotImplementedError"), "not answered yet"),
        (lambda x: x, "f raised TypeError"),
    ],
)
def test_errors_of_an_answer_are_told_in_plain_words(function, message):
    with pytest.raises(CheckFailed, match=message):
        answer(function)()


def test_a_long_message_is_cut():
    def talk():
        raise ValueError("x" * 10_000_000)

    with pytest.raises(CheckFailed) as caught:
        answer(talk)()
    assert len(str(caught.value)) < 1000


def test_a_notebook_shows_a_failed_check_without_the_lines_of_the_test():
    assert CheckFailed("why")._render_traceback_() == ["CheckFailed: why"]


def test_interrupting_the_notebook_goes_through():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(interrupted)()


def test_a_result_that_a_check_cannot_use_is_a_failed_check():
    asked = answer(lambda: None)
    with (
        pytest.raises(CheckFailed, match="the first entry: what f returned cannot be used here"),
        asked.checking("the first entry"),
    ):
        asked()[0]


# -- numbers -------------------------------------------------------------------------------------------------------


def test_numbers_depend_on_the_task_the_stream_and_the_courses_seed(monkeypatch):
    first = answer(None).normal(4)
    assert torch.equal(first, answer(None).normal(4))
    assert first.dtype == torch.float64
    assert not torch.equal(first, answer(None).normal(4, stream=1))
    monkeypatch.setenv(_answers.SEED_VARIABLE, "our-own-seed")
    assert not torch.equal(first, answer(None).normal(4))
    assert 2.0 <= answer(None).uniform(2.0, 3.0) < 3.0
    assert answer(None).normal().shape == ()


def test_duplicates_share_no_memory():
    given = {"a": torch.ones(2), "b": [np.zeros(2), (1, "x")], "c": None}
    copy = duplicate(given)
    assert identical(copy, given)
    copy["a"][0] = 5.0
    copy["b"][0][0] = 5.0
    assert given["a"][0] == 1.0
    assert given["b"][0][0] == 0.0


@pytest.mark.parametrize(
    ("a", "b", "same_data"),
    [
        (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]), True),
        (torch.zeros(1), torch.tensor([torch.nan]), False),
        (torch.ones(2), torch.ones(2, dtype=torch.float32), False),
        (torch.ones(2), torch.ones(2, 1), False),
        (np.array([np.nan]), np.array([np.nan]), True),
        (1, 1.0, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, [2]], [1, [3]], False),
        (float("nan"), float("nan"), True),
    ],
)
def test_identical(a, b, same_data):
    assert identical(a, b) is same_data


# -- comparing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.5, np.float64(1.5), np.array(1.5), torch.tensor(1.5), torch.tensor([1.5]), [1.5]])
def test_a_number_may_come_in_many_forms(value):
    same(value, 1.5, "the number")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "got None. Is a return missing"),
        ("1.5", "expected a number.*got str"),
        (True, "expected a number.*got bool"),
        ({"a": 1}, "got dict"),
        ([1.0, "x"], "got str"),
        (torch.tensor([1.0, 2.0]), r"the shape should be \(\); got \(2,\)"),
        (float("nan"), "there is a NaN"),
        (float("inf"), "infinite where it should not be"),
        (1.5 + 1e-7, "right to about seven digits only"),
        (2.0, "differs by up to 0.5"),
        (-1.5, "that is upside down"),
    ],
)
def test_what_is_wrong_is_said(value, message):
    with pytest.raises(CheckFailed, match=message):
        same(value, 1.5, "the number", slips={"that is upside down": -1.5, "never": lambda: 1.5})


def test_infinity_is_matched_by_infinity_alone():
    same([1.0, float("inf")], torch.tensor([1.0, torch.inf]), "x")
    with pytest.raises(CheckFailed, match="finite where it should be infinite"):
        same([1.0, 1e300], torch.tensor([1.0, torch.inf]), "x")
    with pytest.raises(CheckFailed):
        same([1.0, -float("inf")], torch.tensor([1.0, torch.inf]), "x")


def test_all_slips_that_fit_are_named_and_a_right_value_never_is():
    with pytest.raises(CheckFailed, match=r"x: first\. Or: second$"):
        same(2.0, 1.0, "x", slips={"also right": 1.0, "first": 2.0, "another": 3.0, "second": 2.0})
    same(1.0, 1.0, "x", slips={"wrong": 1.0})


def test_a_tensor_that_needs_gradients_is_a_tensor():
    assert numbers(torch.ones(2, requires_grad=True), "x").tolist() == [1.0, 1.0]
    assert numbers([], "x").shape == (0,)


def step(params, grads, state, hyper):
    return params - hyper["lr"] * grads, {"t": state["t"] + 1}


def run_against(function, slips=None, watch=("params",)):
    gradients = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    same_run(answer(function), step, torch.zeros(2), gradients, {"lr": 0.1}, state={"t": 0}, slips=slips, watch=watch)


def test_a_run_that_is_right_passes():
    run_against(step, watch=("params", "t"))


def test_the_step_at_which_a_run_goes_wrong_is_named():
    def late(params, grads, state, hyper):
        return params - hyper["lr"] * grads * (1.0 if state["t"] < 2 else 2.0), {"t": state["t"] + 1}

    with pytest.raises(CheckFailed, match="params after step 3: differs by up to 0.05"):
        run_against(late)


def test_the_slip_whose_run_and_state_fit_is_named():
    def uphill(params, grads, state, hyper):
        return params + hyper["lr"] * grads, {"t": state["t"] + 1}

    def uphill_and_forgetful(params, grads, state, hyper):
        return params + hyper["lr"] * grads, state

    slips = {"forgetful": uphill_and_forgetful, "uphill": uphill}
    with pytest.raises(CheckFailed, match="params after step 1: uphill"):
        run_against(uphill, slips)
    with pytest.raises(CheckFailed, match="params after step 1: forgetful"):
        run_against(uphill_and_forgetful, slips)
    with pytest.raises(CheckFailed, match=r"params after step 1: uphill\. Or: ascent$"):
        run_against(uphill, {**slips, "ascent": uphill})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "returned None"),
        (torch.zeros(2), "must return two things"),
        ((1, 2, 3), "must return two things"),
        ((torch.zeros(2), [1]), "must be a dict; got list"),
        ((torch.zeros(2), {}), "lacks 't'"),
        ((None, {"t": 1}), "params after step 1: got None"),
    ],
)
def test_a_wrong_kind_of_result_is_told(value, message):
    with pytest.raises(CheckFailed, match=message):
        run_against(lambda *_: value)


def test_something_has_to_move():
    with pytest.raises(CheckFailed, match="nothing moved"):
        moved(answer(step), (torch.zeros(2), {}), torch.zeros(2))
    assert moved(answer(step), (torch.ones(2), {}), torch.zeros(2)).tolist() == [1.0, 1.0]


# -- finding the answer --------------------------------------------------------------------------------------------


@pytest.fixture
def a_task(monkeypatch):
    """A task of this test's own."""
    monkeypatch.setattr(_tasks, "_registered", dict(exercises.tasks()))

    @task("test-double", "double(x)", seconds=1.0, forbids=("torch.optim", "numpy.multiply"))
    def public(asked):
        with asked.checking("a small number"):
            same(asked(2.0), 4.0, "the double")
        with asked.checking("a large number"):
            same(asked(1e6), 2e6, "the double", slips={"that is the square": 1e12})

    return public


def notebook(*cells):
    space = {"In": ["", *cells]}
    for cell in cells:
        exec(cell, space)
    return space


ANCHOR = "# exercise: test-double\n"


def lines(space, capsys):
    exec("from optbias.exercises import check\ncheck('test-double')", space)
    return capsys.readouterr().out.splitlines()


def test_check_prints_each_check_and_raises_nothing(a_task, capsys):
    assert lines(notebook(ANCHOR + "def double(x):\n    return 2 * x"), capsys) == [
        "test-double:",
        "  [ok] a small number",
        "  [ok] a large number",
    ]
    assert lines(notebook(ANCHOR + "def double(x):\n    return x * x"), capsys) == [
        "test-double:",
        "  [ok] a small number",
        "  [no] a large number: the double: that is the square",
    ]
    assert lines(notebook(ANCHOR + "def double(x):\n    return 1 / 0"), capsys)[1].endswith("division by zero")


def test_check_shows_what_the_answer_prints(a_task, capsys):
    assert "debugging" in lines(notebook(ANCHOR + "def double(x):\n    print('debugging')\n    return 2 * x"), capsys)


def test_check_of_nothing_says_so(a_task, capsys):
    assert "there is no double yet: run the cell that begins with '# exercise: test-double'" in lines({}, capsys)[1]
    stub = notebook(ANCHOR + "def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()")
    assert "is not answered yet" in lines(stub, capsys)[1]
    assert "must be a function; got int" in lines({"double": 3}, capsys)[1]


def test_an_unknown_task_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="there is no task 'adam-stop'; the tasks are .*adam-step"):
        check("adam-stop")


def test_a_name_belongs_to_one_assignment(a_task):
    with pytest.raises(ValueError, match="'adam-step' is already defined in optbias.exercises.ps_adam"):
        task("adam-step", "f(x)")(lambda asked: None)


@pytest.mark.parametrize(
    "code",
    [
        "import torch\n" + ANCHOR + "def double(x):\n    torch.optim.SGD([x], lr=1.0)\n    return 2 * x",
        ANCHOR + "import torch.optim as o\n\ndef double(x):\n    return 2 * x",
        ANCHOR + "def double(x):\n    from torch import optim\n    return 2 * x",
        ANCHOR + "def double(x):\n    from torch.optim import SGD\n    return 2 * x",
        ANCHOR + "import importlib\ndef double(x):\n    importlib.import_module('torch.optim')\n    return 2 * x",
        ANCHOR + "import numpy as np\ndef double(x):\n    return np.multiply(2, x)",
    ],
)
def test_what_a_task_forbids_is_found_in_the_answer(a_task, code):
    with pytest.raises(
        CheckFailed, match=r"double uses (torch.optim|numpy.multiply)\S*, which this task does not allow"
    ):
        exec("from optbias.exercises import exam\nexam('test-double')", notebook(code))


def test_what_a_task_forbids_is_found_in_a_helper_and_under_another_name(a_task):
    helper = "import torch.optim as tools\n\ndef helper(x):\n    tools.SGD\n    return 2 * x"
    space = notebook(helper, ANCHOR + "def double(x):\n    return helper(x)")
    with pytest.raises(CheckFailed, match="double uses torch.optim.SGD"):
        exec("from optbias.exercises import exam\nexam('test-double')", space)


@pytest.mark.parametrize(
    ("scratch", "own"),
    [
        (
            "import torch\n%timeit 1\nopt = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)",
            "def double(x):\n    return 2 * x",
        ),
        ("from torch import optim", "def double(optim):\n    return 2 * optim"),  # a parameter with the import's name
    ],
    ids=["a scratch cell", "a parameter"],
)
def test_what_stands_elsewhere_in_the_notebook_is_the_students_own_affair(a_task, scratch, own):
    own = ANCHOR + own
    space = {"In": ["", scratch, own], **notebook(own)} | {"In": ["", scratch, own]}
    exec("from optbias.exercises import exam\nvalue = exam('test-double')(3.0)", space)
    assert space["value"] == 6.0


@pytest.mark.parametrize(
    "own",
    [
        "def helper(optim):\n    return 2 * optim\n\ndef double(x):\n    optim.SGD\n    return helper(x)",
        "def double(x, optim=optim.SGD):\n    return 2 * x",
        "def double(x):\n    return (lambda optim: 2 * optim)(x) + 0 * len(optim.__name__)",
    ],
)
def test_a_parameter_hides_nothing_outside_of_its_function(a_task, own):
    space = notebook("from torch import optim", ANCHOR + own)
    with pytest.raises(CheckFailed, match=r"double uses torch\.optim"):
        exec("from optbias.exercises import exam\nexam('test-double')", space)


def test_the_last_run_of_an_answers_cell_counts(a_task):
    stub = ANCHOR + "def double(x):\n    raise NotImplementedError()"
    space = notebook(stub, ANCHOR + "def double(x):\n    return 2 * x")
    exec("from optbias.exercises import exam\nvalue = exam('test-double')(3.0)", space)
    assert space["value"] == 6.0


def test_exam_needs_no_notebook():
    def adam_step(params, grads, state, hyper):
        return params, state

    space = {"adam_step": adam_step, "exam": exam}
    exec("answer = exam('adam-step')", space)
    assert space["answer"].shown_as == "adam_step"


def test_a_stored_reference_counts_and_names_of_test_cells_do_not():
    asked = exercises.get("adam-step")
    stored = "# exercise: adam-step\ndef adam_step(params, grads, state, hyper):\n    return kept([params])"
    assert _tasks.forbidden(asked, stored, ("import torch\nkept = torch.optim.Adam", stored)) == "torch.optim.Adam"
    own = "# exercise: adam-step\ndef adam_step(params, grads, state, hyper):\n    kept = grads\n    return kept"
    assert _tasks.forbidden(asked, own, ("import torch\nkept = torch.optim.Adam", own)) is None
    other = "# exercise: adam-step\ndef adam_step(params, grads, state, hyper):\n    return answer"
    assert _tasks.forbidden(asked, other, ('from optbias.exercises import exam\nanswer = exam("x")', other)) is None
