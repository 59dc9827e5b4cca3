"""The slots: Python and the browser find the same names, and the reader's picks are followed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page, expect

from browser import PHONE
from driving import drag, drag_by_finger, knob, status, values
from optbias.losses import landscapes
from optbias.rules import ADOPT, Adam
from optbias.simulate import trajectory
from optbias.theory import family
from optbias.widgets import Slots
from staging import settle

# -- Python -----------------------------------------------------------------------------------------------------------


def test_a_full_set_of_slots_spells_one_rule() -> None:
    for name in family.SLOTS:
        assert Slots(name).found() == [name]


def test_open_slots_are_any() -> None:
    assert Slots(slots={}).found() == list(family.SLOTS)
    some = Slots("AdamW", slots={"second": "average of g²", "order": "average, then divide", "direction": "m / √v"})
    assert some.found() == ["Adam", "AdamW", "NAdam"]
    assert some.shown() == "AdamW"
    none = Slots("Lion", slots=family.slots_of("AdamW") | {"bias": "none"})
    assert (none.found(), none.shown()) == ([], "AdamW")
    assert "filled so by no rule, nearest AdamW" in none.describe()


def test_the_paths_are_those_of_the_library() -> None:
    widget = Slots("ADOPT", steps=20, start=(1, -0.5), lr=0.05)
    start = torch.tensor([1, -0.5], dtype=torch.float64)
    found = widget.trajectories()
    assert list(found) == ["Adam", "ADOPT"]
    for rule in (Adam(0.05), ADOPT(0.05)):
        assert torch.equal(found[type(rule).__name__], trajectory(rule, landscapes.get("ravine"), start, 20))
    # Rules of a whole layer have slots, and no path of a point.
    assert list(Slots("SOAP").trajectories()) == ["Adam"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "Adan"}, "name must be one of"),
        ({"slots": {"third": "g"}}, "a place must be one of first, second"),
        ({"slots": {"bias": "some"}}, "bias must be one of .*; got 'some'"),
        ({"landscape": "bilinear"}, None),
        ({"landscape": "hill"}, "landscape must be one of"),
        ({"start": (1, 2, 3)}, "start must be 2 finite numbers"),
        ({"lr": 0.0}, r"lr must be in \[1e-05, 10\]"),
        ({"steps": 501}, r"steps must be in \[1, 500\]"),
    ],
)
def test_bad_input_is_refused(arguments: dict, message: str | None) -> None:
    if message is None:  # a landscape of two dimensions, as all that are taken
        assert landscapes.get(arguments["landscape"]).dim == 2
        Slots(**arguments)
        return
    with pytest.raises(ValueError, match=message):
        Slots(**arguments)


# -- the table, in Node -----------------------------------------------------------------------------------------------

TABLE = 'import { PLACES, TABLE, differing, matching, nearest, slotsOf } from "./slot_table.js";'


def asked() -> list[dict[str, str]]:
    """Slots of all kinds: full, with one other word, half open, at random."""
    draw = random.Random(17)
    words = {place: sorted({getattr(row, place) for row in family.SLOTS.values()}) for place in family.PLACES}
    full = [family.slots_of(name) for name in family.SLOTS]
    other = [own | {place: draw.choice(words[place])} for own in full for place in family.PLACES]
    some = [{place: draw.choice(["", *words[place]]) for place in family.PLACES} for _ in range(60)]
    return full + other + some


def test_the_browser_holds_the_table_and_finds_the_same_names(node: Callable[[str], Any]) -> None:
    cases = asked()
    code = f"{TABLE}const cases = {json.dumps(cases)};"
    code += "const found = cases.map((one) => [matching(one), nearest(one)]);"
    code += "const all = Object.keys(TABLE).map((name) => [name, slotsOf(name)]);"
    places, table, found = node(code + "process.stdout.write(JSON.stringify([PLACES, all, found]));")
    assert [tuple(pair) for pair in places] == list(family.PLACES.items())
    assert [(name, slots) for name, slots in table] == [(name, family.slots_of(name)) for name in family.SLOTS]
    assert found == [[family.matching(one), family.nearest(one)] for one in cases]


# -- the browser ------------------------------------------------------------------------------------------------------


def loss_of(text: str, name: str) -> float:
    match = re.search(rf"{name} (-?[\d.]+(?:e-?\d+)?)[;.]", text)
    assert match, text
    return float(match[1])


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestTheReader:
    def test_names_a_rule_and_sees_its_slots_and_its_loss(self, stage: Callable[..., Page]) -> None:
        page = stage(Slots())
        for name in ("Lion", "RMSProp", "Muon", "SOAP"):
            page.get_by_label("Name a rule").select_option(name)
            text = status(page)
            expect(page.locator(".ob-name")).to_have_text(name)
            for place, word in family.slots_of(name).items():
                expect(page.get_by_role("combobox", name=family.PLACES[place], exact=True)).to_have_value(word)
            paths = Slots(name).trajectories()
            for shown, path in paths.items():
                value = float(landscapes.get("ravine")(path[-1]))
                assert loss_of(text, shown) == pytest.approx(value, rel=6e-3), name
            assert ("has no path here" in text) == (name == "SOAP")

    def test_fills_the_slots_and_the_name_appears(self, stage: Callable[..., Page]) -> None:
        page = stage(Slots())
        page.get_by_role("button", name="Leave all slots open").click()
        expect(page.locator(".ob-name")).to_have_text(f"Any of {len(family.SLOTS)} rules")
        page.get_by_role("combobox", name="second memory", exact=True).select_option("average of g²")
        page.get_by_role("combobox", name="order", exact=True).select_option("average, then divide")
        page.get_by_role("combobox", name="direction", exact=True).select_option("m / √v")
        expect(page.locator(".ob-name")).to_have_text("One of 3 rules")
        assert status(page).startswith("Adam, AdamW, NAdam fill them so; Adam is drawn.")
        page.get_by_role("button", name="NAdam").click()
        assert "NAdam is drawn" in status(page)
        page.get_by_role("combobox", name="weight decay", exact=True).select_option("decoupled, × η")
        expect(page.locator(".ob-name")).to_have_text("AdamW")
        assert status(page).startswith("AdamW differs from Adam in: weight decay.")
        page.get_by_role("combobox", name="bias correction", exact=True).select_option("none")
        expect(page.locator(".ob-name")).to_have_text("No rule of the library")
        assert "AdamW is the nearest, with another bias correction" in status(page)
        page.get_by_role("button", name="Reset").click()
        expect(page.locator(".ob-name")).to_have_text("ADOPT")

    def test_moves_the_start_by_mouse_keys_and_finger(self, stage: Callable[..., Page]) -> None:
        page = stage(Slots())
        point = knob(page, "Start point")
        drag(page, point, 0.25, 0.5)
        assert values(point) == pytest.approx([-0.75, 0.0], abs=0.02)
        point.focus()
        page.keyboard.press("ArrowRight")
        assert values(point)[0] == pytest.approx(-0.75 + 3 / 40, abs=0.02)
        phone = stage(Slots(), size=PHONE, has_touch=True, is_mobile=True)
        point = knob(phone, "Start point")
        before = status(phone)
        drag_by_finger(phone, point, 0.25, 0.5)
        assert values(point) == pytest.approx([-0.75, 0.0], abs=0.03)
        assert status(phone) != before

    def test_works_with_the_keyboard_alone(self, stage: Callable[..., Page]) -> None:
        page = stage(Slots("Adam"))
        page.get_by_label("Name a rule").focus()
        page.keyboard.type("Lion")
        settle(page)
        expect(page.locator(".ob-name")).to_have_text("Lion")

    def test_an_address_of_nonsense_leaves_the_places_open(self, stage: Callable[..., Page]) -> None:
        page = stage(
            Slots(name="mine"), fragment='#widget=mine:{"slots": {"first": "constructor"}, "rule": "toString"}'
        )
        expect(page.locator(".ob-name")).to_have_text(f"Any of {len(family.SLOTS)} rules")
