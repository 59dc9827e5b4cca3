"""The recorded runs explorer: what goes into the page, the cursor, and the runs that the reader chooses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from browser import PHONE, WIDER_THAN_WINDOW
from driving import drag, drag_by_finger, knob, status, values, with_wrong
from optbias.experiments import measures
from optbias.widgets import Explorer, bundle, explorer
from staging import settle

NAMES = ("step", "loss", "two_norm", "accuracy")
LEFT, RIGHT = "Cursor of the left plot", "Cursor of the right plot"


def runs(seed: int = 3) -> pd.DataFrame:
    """A table of two studies: falling losses, norms with a hill, an accuracy that is measured seldom."""
    random, tables = np.random.default_rng(seed), []
    for study, rhos in (("first", (0.9, 0.99, 0.999)), ("second", (0.5, 0.9))):
        for k, rho in enumerate(rhos):
            for number in range(2):
                step = np.arange(101) if study == "first" else np.arange(0, 401, 4)
                loss = 2.5 * np.exp(-step / (30 + 10 * k)) * np.exp(random.normal(0, 0.05, len(step)))
                norm = 10 * (1 + k) * np.exp(-(((step - 40) / 30.0) ** 2)) + loss
                accuracy = np.where(step % 20 == 0, 1 - loss / 3, np.nan)
                columns = {"beta": 0.9, "rho": rho, "seed": number, "step": step, "loss": loss, "two_norm": norm}
                name = {"run": f"{study}{rho}{number}", "study": study}
                tables.append(pd.DataFrame({**name, **columns, "accuracy": accuracy}))
    return pd.concat(tables, ignore_index=True)


def made(**options: Any) -> Explorer:
    options = {"columns": ["loss", "two_norm", "accuracy"], "rows": 200, "name": "mine"} | options
    return Explorer(runs(), **options)


# -- what goes into the page ------------------------------------------------------------------------------------------


def test_a_study_names_what_differs_and_holds_every_run() -> None:
    record = made().record
    assert [study["name"] for study in record["studies"]] == ["first", "second"]
    first = record["studies"][0]
    assert first["factors"] == ["rho", "seed"], "beta is the same in all runs"
    assert [run["is"] for run in first["runs"]] == [[r, s] for r in (0.9, 0.99, 0.999) for s in (0, 1)]
    json.dumps(record, allow_nan=False)


def test_numbers_keep_four_digits_and_gaps_are_gaps() -> None:
    table, run = runs(), made().record["studies"][0]["runs"][0]
    own = table[table["run"] == "first0.90"]
    assert run["step"] == list(range(101))
    np.testing.assert_allclose(run["loss"], own["loss"], rtol=5e-4)
    assert [k for k, one in enumerate(run["accuracy"]) if one is not None] == [0, 20, 40, 60, 80, 100]


def test_thinning_keeps_ends_and_what_is_measured_seldom() -> None:
    run = made(rows=10).record["studies"][0]["runs"][0]
    assert len(run["step"]) <= 16
    assert {0, 20, 40, 60, 80, 100} <= set(run["step"])
    assert run["step"] == sorted(set(run["step"]))


def test_only_the_studies_with_titles_are_shown_in_their_order() -> None:
    titles = {"second": "The second question", "first": "The first"}
    widget = made(titles=titles, walls={"second": {"two_norm": (3, 5)}})
    assert [study["title"] for study in widget.record["studies"]] == ["The second question", "The first"]
    assert widget.study == "second"
    assert widget.shown["wall"] == {"two_norm": [3.0, 5.0]}


@pytest.mark.parametrize("level", [1.0, 0.5, 0.2])
def test_the_cursor_on_a_loss_is_the_crossing_of_the_experiments(level: float) -> None:
    table, widget = runs(), made(cursor=level, cursor_by="loss", right_against="loss")
    found = widget.at_cursor("two_norm")
    assert list(found) == ["ρ = 0.9", "ρ = 0.99", "ρ = 0.999"]
    for label, numbers in found.items():
        rho = label.split()[-1]
        expected = [measures.crossing(table[table["run"] == f"first{rho}{k}"], level, "two_norm") for k in (0, 1)]
        # Numbers in the page have four digits.
        np.testing.assert_allclose(numbers, [one["value"] for one in expected if one], rtol=2e-3)


def test_chosen_values_choose_and_unknown_ones_are_passed_over() -> None:
    widget = made(chosen={"rho": 0.99})
    assert [run["is"] for run in widget.groups()["ρ = 0.99"]] == [[0.99, 0], [0.99, 1]]
    widget.chosen = {"rho": 0.99, "seed": 1.0}
    assert sum(map(len, widget.groups().values())) == 1
    widget.chosen = {"rho": 0.42, "lr": 3}
    assert sum(map(len, widget.groups().values())) == 6
    widget.colour_by, widget.chosen = "seed", {}
    assert list(widget.groups()) == ["seed = 0", "seed = 1"]


def test_two_factors_can_have_colours_together() -> None:
    table = runs().assign(beta=lambda t: np.where(t["seed"] == 0, 0.5, 0.9), optimizer="Adam")
    widget = Explorer(table, ["loss"], titles={"second": "second"}, colour_by="beta, rho")
    assert list(widget.groups()) == [
        "β = 0.5, ρ = 0.5",
        "β = 0.5, ρ = 0.9",
        "β = 0.9, ρ = 0.5",
        "β = 0.9, ρ = 0.9",
    ]
    widget.colour_by = "optimizer, weight_decay"
    assert list(widget.groups()) == ["β = 0.5", "β = 0.9"], "the optimizer does not vary"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"table": [1]}, TypeError, "table must be a pandas DataFrame; got list"),
        ({"columns": ["nonsense"]}, ValueError, "a column must be one of .*got 'nonsense'"),
        ({"columns": []}, ValueError, "at least one column"),
        ({"titles": {"third": ""}}, ValueError, "a study must be one of 'first', 'second'; got 'third'"),
        ({"study": "third"}, ValueError, "study must be one of 'first', 'second'; got 'third'"),
        ({"left": "x"}, ValueError, "left must be one of"),
        ({"right_against": "two_norm"}, ValueError, "right_against must be one of 'step', 'loss'"),
        ({"chosen": {"mass": 1}}, ValueError, "a factor in chosen must be one of"),
        ({"colour_by": "mass"}, ValueError, "colour_by must be one of"),
        ({"cursor": -1.0}, ValueError, "finite and >= 0; got -1.0"),
        ({"cursor": float("nan")}, ValueError, "finite and >= 0; got nan"),
        ({"rows": 1}, ValueError, "rows must be at least 2; got 1"),
    ],
)
def test_bad_input(options: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments = {"table": runs(), "columns": ["loss", "two_norm"]} | options
    with pytest.raises(error, match=words):
        Explorer(**arguments)


# -- the same in JavaScript -------------------------------------------------------------------------------------------


def cases() -> list[dict[str, Any]]:
    """Runs with gaps and a place of the cursor on a step and on a loss, some of them never reached."""
    random, found = np.random.default_rng(11), []
    for study in made(rows=30).record["studies"]:
        for run in study["runs"]:
            for by, high in (("step", 1.1 * run["step"][-1]), ("loss", 3.0)):
                found += [{"run": run, "by": by, "at": float(at)} for at in random.uniform(0.01, high, 6)]
    return found


CODE = f"const LOG = {json.dumps(explorer.LOGARITHMIC)}, NAMES = {json.dumps(NAMES)};"
CODE += """
const found = cases.map(({ run, by, at }) => {
  const row = position(run, by, at), all = (name) => value(run, name, row, LOG.includes(name));
  return [row, ...(row === null ? [] : NAMES.map(all))].map((x) => (Number.isNaN(x) ? "none" : x));
});"""


def compare(found: list[list[Any]]) -> None:
    """Rows and values of every case against Python's."""
    missing = 0
    for case, (row, *numbers) in zip(cases(), found, strict=True):
        expected = explorer.position(case["run"], case["by"], case["at"])
        assert (row is None) == (expected is None), case
        if expected is None:
            missing += 1
            continue
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-12)
        for name, number in zip(NAMES, numbers, strict=True):
            ours = explorer.value(case["run"], name, expected)
            assert ("none" if np.isnan(ours) else ours) == pytest.approx(number, rel=1e-9, abs=1e-12), name
    assert 0 < missing < len(found) / 2


def by_node(node: Callable[[str], Any]) -> list[list[Any]]:
    code = f'import {{ position, value }} from "./explorer.js";\nconst cases = {json.dumps(cases())};\n{CODE}'
    return node(code + "process.stdout.write(JSON.stringify(found));")


def test_node_finds_the_rows_and_values_of_python(node: Callable[[str], Any]) -> None:
    compare(by_node(node))


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_chromium_finds_the_rows_and_values_of_python(chrome: Browser) -> None:
    page = chrome.new_page()
    code = f"{bundle.scopes('explorer')} const {{ position, value }} = explorer; {CODE} return found;"
    compare(page.evaluate(f"(cases) => {{ {code} }}", cases()))
    page.close()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return before + ((i - before)", "return before - ((i - before)"),
        ("return values[a] + share *", "return values[a] - share *"),
    ],
    ids=["crossing", "value"],
)
def test_the_comparison_notices_one_wrong_sign(
    node: Callable[[str], Any], tmp_path: Path, right: str, wrong: str
) -> None:
    with pytest.raises(AssertionError):
        compare(by_node(with_wrong("explorer.js", right, wrong, node, tmp_path)))


# -- in the browser ---------------------------------------------------------------------------------------------------


def shown(page: Page) -> dict[str, list[str]]:
    """The table at the cursor: its rows by their first cell."""
    settle(page)
    rows = page.locator(".ob-table tbody tr").all()
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}


def pick(page: Page, label: str) -> Locator:
    """The choice with this label."""
    named = page.locator("span").get_by_text(label, exact=True)
    return page.locator(".ob-select", has=named).locator("select")


def means(page: Page, cell: int) -> list[float]:
    """The leading numbers in a column of the table."""
    return [float(cells[cell].split(" ")[0]) for cells in shown(page).values()]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestInTheBrowser:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_a_dragged_cursor_moves_in_both_plots(self, stage: Callable[..., Page], theme: str) -> None:
        page = stage(made(cursor=10, right_against="loss", right="two_norm"), theme=theme)
        (before,) = values(knob(page, RIGHT))
        drag(page, knob(page, LEFT), 0.6, 0.5)
        (step,), (after,) = values(knob(page, LEFT)), values(knob(page, RIGHT))
        assert step == pytest.approx(60, abs=2)
        assert after < before, "later in a run the loss is smaller"
        widget = made(cursor=step)
        expected = [np.mean(found) for found in widget.at_cursor("two_norm").values()]
        assert means(page, 3) == pytest.approx(expected, rel=6e-3)
        assert f"at step {step:g}: " in status(page)

    def test_the_right_cursor_stands_where_the_loss_is_the_same(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=10, right_against="loss", right="two_norm"))
        drag(page, knob(page, RIGHT), 0.6, 0.5)
        (loss,) = values(knob(page, RIGHT))
        assert f"where the training loss first falls below {loss:.3g}" in status(page)
        widget = made(cursor=loss, cursor_by="loss")
        for cell, name in ((1, "step"), (3, "two_norm")):
            expected = [np.mean(found) for found in widget.at_cursor(name).values()]
            assert means(page, cell) == pytest.approx(expected, rel=1e-2, abs=0.51 if name == "step" else 0)
        losses = {cells[2] for cells in shown(page).values()}
        assert len({float(text.split(" ")[0]) for text in losses}) == 1, "all runs stand at the same loss"

    def test_keys_move_it(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=50))
        knob(page, LEFT).focus()
        page.keyboard.press("ArrowRight")
        assert values(knob(page, LEFT)) == [pytest.approx(52.5, abs=0.6)]
        for press, smaller in (("ArrowLeft", 2), ("Shift+ArrowLeft", 1), ("Shift+ArrowLeft", 1)):
            (before,) = values(knob(page, LEFT))
            page.keyboard.press(press)
            assert values(knob(page, LEFT))[0] <= before - smaller, press
        before = values(knob(page, LEFT))
        page.keyboard.press("ArrowUp")
        assert values(knob(page, LEFT)) == before, "a cursor has no height"

    def test_a_finger_moves_it(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=20), size=PHONE, has_touch=True, is_mobile=True)
        drag_by_finger(page, knob(page, LEFT), 0.8, 0.5)
        assert values(knob(page, LEFT)) == [pytest.approx(80, abs=3)]

    def test_the_slider_is_the_same_cursor(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=20))
        page.get_by_label("cursor, step").focus()
        page.keyboard.press("End")
        assert values(knob(page, LEFT)) == [100]
        assert values(knob(page, RIGHT)) == [100]

    def test_choices_choose_what_python_would(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=40))
        assert list(shown(page)) == ["ρ = 0.9", "ρ = 0.99", "ρ = 0.999"]
        pick(page, "ρ").select_option("0.99")
        assert list(shown(page)) == ["ρ = 0.99"]
        pick(page, "seed").select_option("1")
        widget = made(cursor=40, chosen={"rho": 0.99, "seed": 1})
        assert means(page, 3) == pytest.approx(widget.at_cursor("two_norm")["ρ = 0.99"], rel=6e-3)
        pick(page, "ρ").select_option("all")
        pick(page, "colours").select_option("seed")
        assert list(shown(page)) == ["seed = 1"]
        pick(page, "question").select_option("second")
        assert list(shown(page)) == ["ρ = 0.5", "ρ = 0.9"]
        page.get_by_role("button", name="Reset").click()
        assert list(shown(page)) == ["ρ = 0.9", "ρ = 0.99", "ρ = 0.999"]

    def test_pairs_have_the_labels_and_the_order_of_python(self, stage: Callable[..., Page]) -> None:
        table = runs().assign(beta=lambda t: np.where(t["seed"] == 0, 0.5, 0.9))
        page = stage(Explorer(table, ["loss", "two_norm"], titles={"second": "second"}, name="mine"))
        pick(page, "colours").select_option("beta, rho")
        widget = Explorer(table, ["loss"], titles={"second": "second"}, colour_by="beta, rho")
        assert list(shown(page)) == list(widget.groups())

    def test_a_wide_table_scrolls_inside_a_phone(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=40), size=PHONE)
        assert page.evaluate(WIDER_THAN_WINDOW) == []
        scroller = page.locator(".ob-scroll")
        assert scroller.evaluate("(one) => one.scrollWidth > one.clientWidth")
        assert scroller.evaluate("(one) => one.getBoundingClientRect().right <= innerWidth")

    def test_a_chosen_value_keeps_its_colour(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=40))
        swatch = "() => [...document.querySelectorAll('.ob-check')].at(-1).querySelector('canvas').toDataURL()"
        before = page.evaluate(swatch)
        pick(page, "ρ").select_option("0.999")
        settle(page)
        assert page.evaluate(swatch) == before

    def test_says_which_runs_get_there(self, stage: Callable[..., Page]) -> None:
        page = stage(made(cursor=0.1, cursor_by="loss", right_against="loss"))
        reached = {label: cells[0] for label, cells in shown(page).items()}
        python = made(cursor=0.1, cursor_by="loss").at_cursor("two_norm")
        assert [f"{len(found)} of 2" for found in python.values()] == list(reached.values())
        assert "0 of 2" in reached.values()
        assert "–" in shown(page)["ρ = 0.999"]

    def test_a_link_of_another_record_shows_what_is_there(self, stage: Callable[..., Page]) -> None:
        state = {"study": "gone", "chosen": {"rho": 0.123, "mass": 3}, "left": "gone", "cursor": 1e9}
        page = stage(made(), fragment="#widget=mine:" + json.dumps(state))
        assert len(shown(page)) == 3
        assert "at step 100" in status(page)

    def test_a_record_of_nonsense_is_a_sentence(self, stage: Callable[..., Page]) -> None:
        page = stage(made())
        for record in (
            {},
            {"studies": 3},
            {"columns": ["loss"], "studies": [{"runs": [{"is": [], "step": [1, 0], "loss": [2]}]}]},
        ):
            page.evaluate("(state) => { location.hash = '#widget=mine:' + JSON.stringify(state); }", {"record": record})
            settle(page)
            expect(page.locator(".ob-status")).to_have_text("There are no recorded runs to show here.")
