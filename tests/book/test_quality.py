"""What makes the pages light, and Lighthouse's verdict on a chapter where Lighthouse is installed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import pictures
from benchmarks import lighthouse
from browser import require_chromium, served
from course_site.lightness import reduced, with_sizes


def test_the_style_sheet_keeps_what_can_match_and_nothing_else() -> None:
    css = """
      :root{--a:1px} body,.gone{margin:0} .kept .gone{color:red} #kept{color:blue} [data-gone]{top:0}
      a:not(.gone){left:0}
      @media print{.gone{right:0} .kept{right:1px}} @media screen{.gone{x:y}} @font-face{font-family:F;src:url(f.woff)}
    """
    found = reduced(css, {"body", "kept"})
    for part in (":root{--a:1px}", "body{margin:0}", "#kept{color:blue}", "a:not(.gone){left:0}", ".kept{right:1px}"):
        assert part in found
    for part in ("color:red", "data-gone", "right:0", "@media screen"):
        assert part not in found
    assert "@font-face" in found


def test_pictures_say_their_size_and_wait(tmp_path: Path) -> None:
    (tmp_path / "_images").mkdir()
    for name, size in (("a", (30, 20)), ("b", (7, 5))):
        png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", *size)
        (tmp_path / "_images" / f"{name}.png").write_bytes(png)
    html = '<img alt="A" src="_images/a.png" /><img alt="B" src="_images/b.png" /><img src="_images/missing.png" />'
    expected = (
        '<img width="30" height="20" alt="A" src="_images/a.png" />'
        '<img width="7" height="5" loading="lazy" alt="B" src="_images/b.png" /><img src="_images/missing.png" />'
    )
    assert with_sizes(html, tmp_path) == expected
    assert with_sizes(expected, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_lighthouse_finds_nothing_to_complain_about(request: pytest.FixtureRequest) -> None:
    """Accessibility, best practices and SEO; performance depends on the machine and is a benchmark."""
    require_chromium()
    if not lighthouse.PROGRAM.exists():
        pytest.skip("Lighthouse is not installed (python -m benchmarks.lighthouse installs it)")
    site: Path = request.getfixturevalue("site")
    with served(site) as base:
        report = lighthouse.measure(f"{base}/book/momentum.html", "mobile", lighthouse.CATEGORIES[1:])
    assert lighthouse.failed(report) == []
    assert set(lighthouse.scores(report).values()) == {100}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_pictures_of_the_readme_can_be_taken(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    require_chromium()
    assert pictures.main(["--site", str(request.getfixturevalue("site")), "--out", str(tmp_path)]) == 0
    taken = {path.name for path in tmp_path.iterdir()}
    assert taken == {path.name for path in pictures.OUTPUT.iterdir()}
    readme = (pictures.ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/pictures/{name}" in readme for name in taken)
