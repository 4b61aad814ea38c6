"""The browser in which pages are looked at, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needed = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: install the package chromium")]
_QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


@contextmanager
def opened() -> Generator[Browser]:
    """A Chromium without a window that asks the network for nothing of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright comes with `make setup`")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield browser
        browser.close()
