"""The published file's own numbers in Prometheus's text format: `cdp metrics`, and a file for node_exporter's textfile collector."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cdp_pipelines import query
from cdp_pipelines.config import Settings
from cdp_pipelines.private_files import replaced

log = logging.getLogger(__name__)

_OBJECT = ("connection", "object")
_ROWS = ("read", "inserted", "updated", "deleted", "rejected")
_EVENT_LAGS = {"0.5": "event_lag_median_seconds", "0.95": "event_lag_p95_seconds"}
# Name, meaning, label names, and SQL that gives the labels and the value of each sample.
_FAMILIES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("cdp_sync_complete", "1 where the newest sync read the table to its end.", _OBJECT,
     "select connection, object, (state = 'ok')::int from sync_status"),
    ("cdp_sync_rows", "Rows of the newest sync.", (*_OBJECT, "what"),
     " union all ".join(f"select connection, object, '{what}', rows_{what} from sync_status" for what in _ROWS)),
    ("cdp_sync_raw_rows", "Rows that the raw table has of the connection.", _OBJECT, "select connection, object, rows_total from sync_status"),
    ("cdp_sync_calls", "API calls that the newest sync took.", _OBJECT, "select connection, object, calls from sync_status"),
    ("cdp_sync_seconds", "How long the newest sync took.", _OBJECT,
     "select connection, object, epoch(ended_at - started_at) from sync_status"),
    ("cdp_sync_ended_timestamp_seconds", "When the newest sync ended.", _OBJECT, "select connection, object, epoch(ended_at) from sync_status"),
    ("cdp_sync_lag_seconds", "How old the table's data was when it was published.", _OBJECT,
     "select connection, object, lag_seconds from sync_status"),
    ("cdp_sync_seen_until_timestamp_seconds", "Until when the published file has all changes; time() less this is the lag now.", _OBJECT,
     "select connection, object, epoch(seen_until) from sync_status"),
    ("cdp_calls_left", "API calls that the account had left for the day after the newest sync.", ("connection",),
     "select connection, arg_max(calls_left, ended_at) from sync_status group by all"),
    ("cdp_calls_allowed", "API calls that the account has in a day.", ("connection",),
     "select connection, arg_max(calls_allowed, ended_at) from sync_status group by all"),
    ("cdp_rejected_rows", "Rows that could not be kept since the table was last read in full.", (*_OBJECT, "reason"),
     "select connection, object, reason, rows from rejected_rows"),
    ("cdp_event_lag_seconds", "From a notified change to the published file, in the last day.", ("connection", "share"),
     " union all ".join(f"select connection, '{share}', any_value({column}) from sync_status group by all" for share, column in _EVENT_LAGS.items())),
    ("cdp_checks", "Checks by their newest result.", ("result", "blocking"),
     "select case when passed then 'passed' else 'failed' end, blocking::varchar, count(*) from data_quality group by all"),
    ("cdp_check_failed_rows", "Rows of each check that fails.", ("table", "check", "blocking"),
     "select table_name, name, blocking::varchar, failed_rows from data_quality where not passed"),
)  # fmt: skip


class _Published(Collector):
    def __init__(self, settings: Settings, db: duckdb.DuckDBPyConnection):
        self._settings, self._db = settings, db

    def collect(self) -> Iterator[Metric]:
        """Every family, and the rows of each published table."""
        for name, meaning, labels, sql in _FAMILIES:
            yield self._family(name, meaning, labels, [r for r in self._db.execute(f"{sql} order by all").fetchall() if r[-1] is not None])
        tables = [t for (t,) in self._db.execute("select table_name from duckdb_tables() where schema_name = 'main' order by 1").fetchall()]
        counts = [(t, self._db.execute(f'select count(*) from "{t}"').fetchall()[0][0]) for t in tables]
        yield self._family("cdp_published_rows", "Rows of each published table.", ("table",), counts)
        at = self._settings.published.stat().st_mtime
        yield self._family("cdp_published_timestamp_seconds", "When the published file was written.", (), [(at,)])

    def _family(self, name: str, meaning: str, labels: tuple[str, ...], samples: list[tuple[Any, ...]]) -> Metric:
        family = GaugeMetricFamily(name, meaning, labels=labels)
        for *given, value in samples:
            family.add_metric(given, float(value))
        return family


def exposition(settings: Settings) -> bytes:
    """The metrics of the published file as it is. Raises NotPublished when there is none, or only one of an earlier version."""
    with query.published(settings) as db:
        if not db.execute("select 1 from duckdb_tables() where table_name = 'rejected_rows'").fetchall():
            raise query.NotPublished(f"{settings.published} was written by an earlier version. Run `cdp sync`.")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Published(settings, db))
        return generate_latest(registry)


def renew(settings: Settings) -> None:
    """Write the file of the setting `CDP_METRICS_FILE` anew, where it is set. That it cannot be written is no reason to fail a publication.

    All may read it: node_exporter is another user, and there is nothing of a person in it.
    """
    if (path := settings.metrics_file) is None:
        return
    try:
        write(settings, path)
    except OSError as error:
        log.warning("CDP_METRICS_FILE: %s cannot be written: %s. Make its folder, or mend its permissions.", path, error.strerror)


def write(settings: Settings, path: Path) -> None:
    """Write the metrics to a file, whole or not at all. Raises NotPublished or OSError."""
    made = exposition(settings)
    with replaced(path, mode=0o644) as new:
        new.write_bytes(made)
