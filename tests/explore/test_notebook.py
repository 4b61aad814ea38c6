"""The notebook itself: as a script, as a page, and served to a real browser."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines.config import PROJECT_DIR, Settings
from cdp_pipelines.explore.__main__ import NOTEBOOK
from tests import chromium

pytest.importorskip("marimo", reason="marimo comes with `make setup`")
pytestmark = pytest.mark.slow


def run(data: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CDP_DATA_DIR": str(data), "PYTHONPATH": str(PROJECT_DIR)}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120, check=False)


def exported(data: Path, folder: Path) -> str:
    """The notebook's page after every cell ran. Of a copy: marimo keeps what cells gave beside the notebook."""
    shutil.copyfile(NOTEBOOK, folder / "notebook.py")
    done = run(
        data, "-m", "marimo", "-q", "export", "html", str(folder / "notebook.py"), "-o", str(folder / "page.html"), "--no-include-code"
    )
    assert done.returncode == 0, done.stderr
    return (folder / "page.html").read_text()


def test_it_runs_as_a_script(synced: Settings, tmp_path: Path):
    for data in (synced.data_dir, tmp_path):
        done = run(data, str(NOTEBOOK))
        assert (done.returncode, done.stderr) == (0, "")


def test_its_page_has_a_question_and_its_answer(synced: Settings, tmp_path: Path):
    page = exported(synced.data_dir, tmp_path)
    assert "How many customers do we have" in page
    assert "Nothing was published yet" not in page
    assert "marimo-table" in page


def test_without_a_published_file_it_says_what_to_do(tmp_path: Path):
    page = exported(tmp_path / "none", tmp_path)
    assert "Nothing was published yet" in page
    assert "make demo" in page
    assert "marimo-table" not in page


@pytest.fixture
def address(synced: Settings, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "CDP_DATA_DIR": str(synced.data_dir), "PYTHONPATH": str(PROJECT_DIR), "PYTHONUNBUFFERED": "1"}
    log = tmp_path / "log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "cdp_pipelines.explore", "--headless", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        ends = time.monotonic() + 60
        while not (found := re.search(r"http://\S+access_token=\S+", log.read_text())):
            assert time.monotonic() < ends and server.poll() is None, log.read_text()
            time.sleep(0.2)
        yield found[0]
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.skipif(chromium.CHROMIUM is None, reason="there is no Chromium here: install the package chromium")
def test_in_a_browser_the_answer_is_a_table_and_a_chart_and_nothing_comes_from_elsewhere(synced: Settings, address: str):
    with duckdb.connect(str(synced.published), read_only=True) as db:
        sets = db.execute("select source_systems, count(*) from customers where not is_deleted group by 1").fetchall()
    with chromium.opened() as browser:
        page = browser.new_page()
        elsewhere: list[str] = []
        here = re.compile(r"(https?|wss?)://(localhost|127\.0\.0\.1):|data:|blob:")
        page.on("request", lambda request: None if here.match(request.url) else elsewhere.append(request.url))
        page.goto(address)
        page.get_by_role("cell", name=sets[0][0], exact=True).first.wait_for(timeout=60_000)
        for name, _ in sets:
            page.locator("svg text", has_text=re.compile(f"^{re.escape(name)}$")).first.wait_for(state="attached", timeout=60_000)
        shown = set(page.get_by_role("cell").all_inner_texts())
        assert {text for name, count in sets for text in (name, f"{count:,}")} <= shown
        page.get_by_text("One row for each person record").wait_for()
        page.locator("button:visible", has_text="How many customers do we have").click()
        page.keyboard.type("weighted pipeline")
        page.keyboard.press("Enter")
        page.get_by_role("columnheader", name="close_quarter").wait_for()
        assert elsewhere == []
        stranger = browser.new_context().new_page()
        stranger.goto(address.partition("?")[0])
        stranger.wait_for_url("**/auth/login*")
        assert stranger.get_by_role("cell").count() == 0, "who has no token"
