"""Every number in the text has a hand behind it, and a wrong one is refused with its file, its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

import numerals
from numerals import Checker, evaluate, paragraphs, read, settings
from project import Project

PROJECT = Project()
CHECKER = Checker(PROJECT.pages, numerals.load(PROJECT))


@pytest.mark.parametrize("name", PROJECT.pages)
def test_every_number_has_a_hand_behind_it(name: str) -> None:
    findings, faults = CHECKER.page(name)
    assert not [numerals.unexplained(finding) for finding in findings if not finding.hand]
    assert not faults


def test_the_book_has_numbers_of_every_kind() -> None:
    hands = {finding.hand for name in PROJECT.pages for finding in CHECKER.page(name)[0]}
    assert set(numerals.HANDS) <= hands


def checked(text: str, values: tuple[float, ...] = (), others: dict[str, str] | None = None, tmp: Path | None = None):
    """The numbers of a page with this text, as (text, hand), and the faults of its marks."""
    checker = Checker({}, {"page": list(values)})
    texts = {"page": "# Title\n\n" + text, **(others or {})}
    checker.texts = texts
    checker.settings = {name: settings(each) for name, each in texts.items()}
    checker.labels = {
        m["option"] or m["target"]: n for n, each in texts.items() for m in numerals._LABELLED.finditer(each)
    }
    findings, faults = checker.page("page")
    return [(finding.number.text, finding.hand) for finding in findings], faults


CELL = "\n\n```{code-cell} ipython3\nrule = Adam(lr=0.25, betas=(0.5, 0.75))\nax.set_xlim(0.31, 0.62)\nn = 2 / 3\n```\n"


def test_a_wrong_number_of_adam_is_refused_with_its_place_and_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "course"
    (root / "book").mkdir(parents=True)
    for name in ("_toc.yml", "_config.yml"):
        (root / name).write_text((PROJECT.root / name).read_text())
    for path in PROJECT.pages.values():
        (root / "book" / path.name).write_text(path.read_text())
    (root / "book" / numerals.RECORD).write_text((PROJECT.root / "book" / numerals.RECORD).read_text())
    page = root / "book" / "adam.md"
    right = "2\\Phi(1) - 1 = 0.683"
    text = page.read_text()
    assert text.count(right) == 1
    page.write_text(text.replace(right, "2\\Phi(1) - 1 = 0.783"))
    line = text[: text.index(right)].count("\n") + 1
    monkeypatch.setattr(numerals, "Project", lambda: Project(root))
    assert numerals.main([]) == 1
    told = [row for row in capsys.readouterr().err.splitlines() if row.startswith("book/adam.md")]
    assert len(told) == 1
    assert told[0].startswith(f"book/adam.md:{line}: nothing is behind the number 0.783")
    assert "check it with claim(...), cite its source, or mark it" in told[0]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("It takes 2,079 steps and 0.5 seconds.", ["2,079", "0.5"]),
        ("Of 3 rules 10 fail, 11 do not.", ["11"]),
        ("It is 7 % longer, 3 times, a 4-fold rise.", ["7", "3", "4"]),
        ("$\\epsilon = 10^{-8}$, $3\\cdot10^{-4}$ and 10⁻⁶", ["10^{-8}", "3\\cdot10^{-4}", "10⁻⁶"]),
        ("$\\theta_{12} x^{34} \\beta_1^{15}$ and $2^{20}$", []),
        ("Theorem 3.5, Figure 12, Section 4.1.2, equation (14), section 2.1, ResNet-50, CIFAR-10, float64", []),
        ("in 2018, {cite:t}`kingma2014adam`, arXiv 1412.6980, `0.77`, [a](https://x.y/0.5)", []),
        ("2000 steps", ["2000"]),
        ("**Time** 55 minutes to read, 60 for the exercises.", []),
        ("**Needs** algebra. CPU only, 20 seconds.", []),
        ("- [ ] a wrong answer, 0.7\n- [x] the right one, 0.8", ["0.8"]),
        ("a turn of $26.0°$ and 45°", ["26.0", "45"]),
        ("between 3.16 and 6.57, or 20-40", ["3.16", "6.57", "20", "40"]),
        ("$1{,}500$ and $x=-0.4$", ["1{,}500", "0.4"]),
    ],
)
def test_what_is_read(text: str, numbers: list[str]) -> None:
    found, _ = paragraphs("# Title\n\n" + text)
    assert [number.text for paragraph in found for number in read(1, paragraph.text)] == numbers


def test_code_captions_and_directives() -> None:
    text = (
        "# T\n\n```{code-cell} ipython3\n---\nmystnb:\n  image:\n    alt: >-\n      A curve that\n      ends at 0.11.\n"
        "  figure:\n    caption: It starts at 0.22.\n---\nx = 0.33\n```\n\n```{math}\n:label: eq-44\ny = 0.55\n```\n\n"
        ":::{prf:theorem} With 0.66 in its title\n:label: thm-0.77\nIt is 0.88.\n:::\n\n"
        "```python\n0.99\n```\n\nEnd 0.12.\n"
    )
    found, _ = paragraphs(text)
    numbers = [(number.text) for paragraph in found for number in read(1, paragraph.text)]
    assert numbers == ["0.11", "0.22", "0.55", "0.66", "0.88", "0.12"]


def test_hands() -> None:
    others = {"other": "# O\n\n(sec-there)=\n## There" + CELL.replace("0.25", "0.125")}
    assert checked("rate 0.25, or 25 %" + CELL)[0] == [("0.25", "setting"), ("25", "setting")]
    assert checked("two thirds, 0.667" + CELL)[0] == [("0.667", "")]  # a setting must agree exactly
    assert checked("at 0.31" + CELL)[0] == [("0.31", "")]  # where a drawing ends is no setting
    assert checked("0.68 and 0.683 and 0.684", (0.68264,))[0] == [
        ("0.68", "checked"),
        ("0.683", "checked"),
        ("0.684", ""),
    ]
    assert checked("138,000 times, 138,442 times", (138441.7,))[0] == [("138,000", "checked"), ("138,442", "checked")]
    assert checked("below $3\\cdot10^{-4}$", (0.000304,))[0] == [("3\\cdot10^{-4}", "checked")]
    assert checked("68.3 %", (0.68264,))[0] == [("68.3", "checked")]
    assert checked("see [there](other.md): 0.125", others=others)[0] == [("0.125", "linked")]
    assert checked("see {ref}`sec-there`: 0.125", others=others)[0] == [("0.125", "linked")]
    assert checked("not there: 0.125", others=others)[0] == [("0.125", "")]
    assert checked("they report 0.77 {cite:p}`kingma2015adam`")[0] == [("0.77", "quoted")]
    assert checked("the default is 0.999")[0] == [("0.999", "setting")]
    code = "\n\n```{code-cell} ipython3\nn = 7\nclaim('it is below', n / 0.375, below=0.88)\n```\n"
    assert checked("7 %" + code)[0] == [("7", "")]  # no 7 of the code is a 7 per cent
    assert checked("at 0.88" + code)[0] == [("0.88", "")]  # nor is a bound that nobody has checked yet
    assert checked("at 0.88, of 0.375" + code, (0.88,))[0] == [("0.88", "checked"), ("0.375", "setting")]


def test_marks() -> None:
    assert checked("% number: 0.707 = 1/sqrt(2)\n\nIt is 0.707.") == ([("0.707", "computed")], [])
    assert checked("% number: 60 -- frames a second\n\nAt 60 and 61.") == ([("60", "marked"), ("61", "")], [])
    # A mark holds in its own section only.
    assert checked("% number: 60 -- frames a second\n\nAt 60.\n\n## Next\n\nAt 60.")[0] == [
        ("60", "marked"),
        ("60", ""),
    ]
    assert checked("% number: 0.707 = 1/sqrt(3)\n\nIt is 0.707.")[1] == ["3: 1/sqrt(3) is 0.57735027, not 0.707"]
    assert checked("% number: 0.707 -- not used any more\n\nNothing.")[1] == [
        "3: the mark for 0.707 is not needed; remove it"
    ]
    for bad in ("% number: 60", "% number: 60 -- why", "% number: -- no number here"):
        with pytest.raises(ValueError, match="line 3: a mark is"):
            checked(bad)


def test_expressions() -> None:
    assert evaluate("2*(1 + 0.9)") == pytest.approx(3.8)
    assert evaluate("ceil(log(1e12) / log(1.1))") == 290
    assert evaluate("2^10 - 1") == 1023
    for bad in ("__import__('os')", "x + 1", "(1).real", "sqrt(2, key=1)", "True"):
        with pytest.raises(ValueError, match="cannot compute"):
            evaluate(bad)


@pytest.mark.slow
def test_the_record_is_what_the_build_measured() -> None:
    built = numerals.built(PROJECT)
    assert built, "the book is not built: make book"
    checker = Checker(PROJECT.pages, built)
    wrong = [
        numerals.unexplained(finding) for name in PROJECT.pages for finding in checker.page(name)[0] if not finding.hand
    ]
    assert not wrong, "the build measured other values; if they are right: python book/_tools/numerals.py --record"
