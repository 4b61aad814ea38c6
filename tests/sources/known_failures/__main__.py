"""Write the table of docs/reliability.md."""

from __future__ import annotations

from tests.sources.known_failures import PAGE, refreshed

if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
