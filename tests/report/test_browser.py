"""The report of a whole sync in a real browser: no error, no request, readable by everybody, and with the numbers that SQL gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.report.page import build
from tests import chromium

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python comes with `make setup`")
pytestmark = chromium.needed


@pytest.fixture(scope="module")
def browser(synced: Settings) -> Iterator[object]:
    build(synced)
    with chromium.opened() as opened:
        yield opened


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_the_page_is_sound(synced: Settings, browser, width: int, scheme: str):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(synced.report.as_uri())
    for summary in page.query_selector_all("summary"):
        summary.click()
    assert said == []
    assert asked == [synced.report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nobody has to scroll sideways"
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["impact"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")] == []
    drawn = page.locator("section svg:visible").all()
    assert len(drawn) == len(page.query_selector_all("section [role=img]")) >= 9, "each chart once"
    smallest = [svg.evaluate("s => 12 * s.getBoundingClientRect().width / s.viewBox.baseVal.width") for svg in drawn]
    assert min(smallest) > 8, "pixels of a chart's letters, which are 12 where it is not shrunk"
    context.close()


def test_it_shows_the_numbers_that_sql_gives_and_nobody(synced: Settings, browser):
    page = browser.new_page()
    page.goto(synced.report.as_uri())
    shown = dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True))
    with duckdb.connect(str(synced.published), read_only=True) as db:
        (customers,) = db.execute("select count(*) from customers where not is_deleted").fetchall()[0]
        sets = db.execute("select source_systems, count(*) from customers where not is_deleted group by 1").fetchall()
        values = db.execute(
            "select unnest([email, first_name || ' ' || last_name, phone, mobile_phone, city]) from contacts where email is not null"
        ).fetchall()
    assert shown["customers"] == f"{customers:,}"
    table = page.locator("#overlap td").all_text_contents()
    assert dict(zip(table[::2], table[1::2], strict=True)) == {name: f"{count:,}" for name, count in sets}
    bars = page.locator("#overlap svg text").all_text_contents()
    assert {f"{count:,}" for _, count in sets} <= set(bars)
    text = synced.report.read_text()
    known = {value for (value,) in values if value and len(value) > 5}
    assert len(known) > 200
    assert not [value for value in known if re.search(rf"\b{re.escape(value)}\b", text)]


def test_it_is_small(synced: Settings, tmp_path: Path):
    assert build(synced, tmp_path / "elsewhere" / "report.html").stat().st_size < 1_000_000
