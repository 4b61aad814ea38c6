"""Run one source alone: `python -m cdp_pipelines.sources.<crm>`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from contextlib import contextmanager

from cdp_pipelines.config import ConfigError, Connection, Kind, Settings, connection_from_config, connection_from_env
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sources.extract import NotLoaded, extract
from cdp_pipelines.sources.reconcile import reconcile


def main(kind: Kind) -> None:
    """Read the connections of a kind into the raw tables and print what came. Ends the process: 0 all read, 1 incomplete, 2 settings wrong.

    Connections come from the environment; where it names none at all, the sandbox serves.
    """
    parser = argparse.ArgumentParser(prog=f"python -m cdp_pipelines.sources.{kind}", description=f"Read {kind} into raw_{kind}.")
    parser.add_argument("--full", action="store_true", help="read everything anew, not only what changed")
    parser.add_argument("--reconcile", action="store_true", help="then mend what such a read cannot see")
    parser.add_argument("--table", action="append", help="only this raw table; may be given more than once")
    asked = parser.parse_args()
    settings = Settings()
    try:
        with _connections(kind, settings) as connections, warehouse_lock(settings, f"{kind} alone", print):
            complete = [_read(connection, settings, asked.full, asked.reconcile, asked.table) for connection in connections]
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except NotLoaded as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    sys.exit(0 if all(complete) else 1)


@contextmanager
def _connections(kind: Kind, settings: Settings) -> Generator[list[Connection]]:
    if kinds := settings.connection_kinds():
        yield [connection_from_env(name, k) for name, k in kinds.items() if k == kind]
        return
    with hosting.hosted(settings) as sandbox:
        yield [connection_from_config(kind, sandbox.connections()[kind])]


def _read(connection: Connection, settings: Settings, full: bool, mend: bool, tables: list[str] | None) -> bool:
    # The registry names all sources, and one of them is the module that is being run.
    from cdp_pipelines.sources import registry

    reports = [extract(connection, registry.reader(connection, settings), settings, full=full, tables=tables)]
    if mend:
        reports.append(reconcile(connection, registry.reader(connection, settings), settings, tables=tables))
    for report in reports:
        for table in report.tables:
            said = "" if table.state == "ok" else f"  {table.state}: {table.problem} {table.remedy}"
            print(f"{table.connection} {table.table:<32} {table.mode:<12} {table.rows_read:>9,} rows {table.calls:>6,} calls{said}")
        for warning in report.warnings:
            print(f"{connection.name}: {warning}")
    return all(report.complete for report in reports)
