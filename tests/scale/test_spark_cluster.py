"""The Spark cluster of `up`: Iceberg tables that dlt's library and Spark share, and a worker that is killed and started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from cdp_pipelines.scale import services, workers

# One process for all that need Spark, which is started once; `make test-scale` runs two.
pytestmark = [pytest.mark.scale, pytest.mark.xdist_group("spark")]
Query = Callable[[str], list[tuple]]


@pytest.fixture(scope="module")
def query(found: dict[str, str]) -> Iterator[Query]:
    from pyhive import hive

    with hive.connect(host=(at := urlsplit(found["CDP_SPARK_URL"])).hostname, port=at.port, username="test") as connection:

        def ask(sql: str) -> list[tuple]:
            cursor = connection.cursor()
            cursor.execute(sql)
            # PyHive fails at the empty answer of a statement that is no query.
            return cursor.fetchall() if sql.startswith(("select", "show")) else []

        yield ask


def test_sessions_are_in_utc_and_what_does_not_cast_is_null(query: Query):
    assert query("select current_catalog(), current_database(), current_timezone()") == [("lake", "default", "UTC")]
    assert query("select cast('x' as int)") == [(None,)]
    assert {"default", "raw_hubspot", "unified"} <= {name for (name,) in query("show namespaces")}


def test_a_table_is_written_by_spark_and_by_dlt_s_library_and_read_by_both(query: Query, found: dict[str, str]):
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog

    query("create table unified.shared using iceberg as select id, cast(id % 7 as bigint) as k from range(1000)")
    query("merge into unified.shared t using (select 1L as id, 99L as k) s on t.id = s.id when matched then update set k = s.k")
    query("create view unified.counted as select k, count(*) as n from unified.shared group by k")
    catalog = SqlCatalog("lake", uri=found["CDP_ICEBERG_CATALOG"], warehouse=found["CDP_ICEBERG_WAREHOUSE"])
    table = catalog.load_table("unified.shared")
    assert table.scan(row_filter="id = 1").to_arrow().to_pylist() == [{"id": 1, "k": 99}]
    table.append(pa.table({"id": [-1], "k": [99]}))
    # At once, not after Spark forgot what it knew of the table.
    assert query("select n from unified.counted where k = 99") == [(2,)]
    catalog.close()


def test_a_worker_that_is_killed_is_done_without_and_the_next_up_starts_another(query: Query, folder: Path):
    wait_for_executors(folder)
    before = workers.workers(folder)
    workers.kill(before[1])
    until = time.monotonic() + 10  # it is gone when the system has come to it
    while [worker.name for worker in workers.workers(folder)] != [before[0].name]:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert query("select count(*), count(distinct a.id % 7) from range(100000) a join range(1000) b on a.id % 1000 = b.id") == [(100000, 7)]
    services.up(folder)
    wait_for_executors(folder)
    after = workers.workers(folder)
    assert [worker.name for worker in after] == [worker.name for worker in before]
    assert after[0].pid == before[0].pid
    assert after[1].pid != before[1].pid


def wait_for_executors(folder: Path) -> None:
    """Each worker has an executor. One that was started a moment ago has it soon."""
    until = time.monotonic() + 60
    while [len(worker.executors) for worker in workers.workers(folder)] != [1, 1]:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_nothing_listens_but_on_this_machine_s_loopback(query: Query, folder: Path):
    query("select count(*) from range(10)")
    ours = {pid for pid in services.status(folder).values() if pid}
    ours |= {child.pid for pid in ours for child in psutil.Process(pid).children(recursive=True)}
    listening = {c.laddr.ip for c in psutil.net_connections("inet") if c.status == psutil.CONN_LISTEN and c.pid in ours}
    assert listening
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}
