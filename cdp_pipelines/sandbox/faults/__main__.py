"""`python -m cdp_pipelines.sandbox.faults`: print the tables of docs/sandbox.md (`--table`) or put them there (`--write`)."""

from __future__ import annotations

import argparse

from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.sandbox.faults import tables


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.sandbox.faults", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", action="store_true", help="print the tables")
    what.add_argument("--write", action="store_true", help="bring docs/sandbox.md up to date")
    if parser.parse_args().table:
        for name, table in tables.tables().items():
            print(f"{name}\n\n{table}")
        return
    page = PROJECT_DIR / "docs" / "sandbox.md"
    page.write_text(tables.refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
