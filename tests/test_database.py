"""DuckDB files are opened in one place; with a key they are encrypted, and say what is wrong when they do not open."""

import ast
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines import database
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.lock import WarehouseBusy, warehouse_lock

PACKAGE = Path(database.__file__).parent
KEY, OTHER = "k" * 32, "o" * 32


def keyed(folder: Path, key: str | None = KEY) -> Settings:
    return Settings.model_validate({"data_dir": folder, "encryption_key": key})


def test_no_other_module_opens_or_attaches_a_duckdb_file() -> None:
    guilty = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "database.py" and path.parent == PACKAGE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            opens = isinstance(node, ast.Call) and ast.unparse(node.func) in ("duckdb.connect", "duckdb.sql", "duckdb.query", "connect")
            attaches = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower().startswith("attach '")
            if opens or attaches:
                guilty.append(f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}")
    assert guilty == []


@pytest.mark.parametrize("key", [None, KEY])
def test_what_was_written_is_read_again_by_name_and_by_connections_side_by_side(tmp_path: Path, key: str | None) -> None:
    settings = keyed(tmp_path, key)
    with database.connect(settings, settings.warehouse) as first, database.connect(settings, settings.warehouse) as second:
        first.execute("create table people as select 'ann@acme.example' as email")
        second.execute("insert into people values ('bob@acme.example')")
        assert first.execute("select count(*), current_database() from warehouse.main.people").fetchall() == [(2, "warehouse")]
    with database.connect(settings, settings.warehouse, read_only=True, no_way_out=True) as db:
        assert db.execute("select count(*) from people").fetchall() == [(2,)]
        with pytest.raises(duckdb.Error):
            db.execute("insert into people values ('eve')")
        with pytest.raises(duckdb.PermissionException):
            db.execute(f"from read_text('{database.quoted(Path(__file__))}')").fetchall()
    assert (b"acme.example" in settings.warehouse.read_bytes()) == (key is None)


@pytest.mark.parametrize(
    ("written", "read", "says"),
    [
        (KEY, None, "CDP_ENCRYPTION_KEY is not set, and .*warehouse.duckdb is encrypted"),
        (KEY, OTHER, "CDP_ENCRYPTION_KEY does not open .*warehouse.duckdb.*CDP_ENCRYPTION_KEY_PREVIOUS.*cdp privacy rekey"),
        (None, KEY, "CDP_ENCRYPTION_KEY is set, and .*warehouse.duckdb is not encrypted yet.*cdp privacy rekey"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_does_not_open_is_named_with_the_remedy_and_left_as_it_was(
    tmp_path: Path, written: str | None, read: str | None, says: str, read_only: bool
) -> None:
    path = keyed(tmp_path).warehouse
    with database.connect(keyed(tmp_path, written), path) as db:
        db.execute("create table t as select 1 as one")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=says) as said:
        database.connect(keyed(tmp_path, read), path, read_only=read_only)
    with pytest.raises(ConfigError, match=says), database.in_memory(keyed(tmp_path, read)) as db:
        database.attach(keyed(tmp_path, read), db, path, "looked_at", read_only=read_only)
    assert KEY not in str(said.value)
    assert OTHER not in str(said.value)
    assert path.read_bytes() == before


def test_each_file_has_a_key_of_its_own_and_the_file_written_beside_it_the_same(tmp_path: Path) -> None:
    settings = keyed(tmp_path)
    beside = tmp_path / ".cdp.duckdb.4711.new"
    database.connect(settings, settings.warehouse).close()
    with database.in_memory(settings) as db:
        database.attach(settings, db, beside, "published")
        db.execute("create table published.t as select 1 as one")
    beside.rename(settings.published)
    assert database.connect(settings, settings.published, read_only=True).execute("from t").fetchall() == [(1,)]
    settings.warehouse.rename(settings.published)
    with pytest.raises(ConfigError, match="does not open"):
        database.connect(settings, settings.published)


def test_what_does_not_fit_in_memory_is_encrypted_on_the_disk(tmp_path: Path) -> None:
    settings = keyed(tmp_path)
    found = []
    with database.in_memory(settings) as db:
        db.execute("set memory_limit = '60MB'; set threads = 1")
        db.execute("create table people as select 'ann@acme.example' || i || repeat('x', 100) as email from range(800_000) t(i)")
        found = [path.read_bytes() for path in sorted((tmp_path / "duckdb.tmp").iterdir())]
    assert sum(map(len, found)) > 1_000_000
    assert not any(b"acme.example" in content for content in found)


def test_who_has_an_encrypted_warehouse_open_is_named_to_whoever_waits(tmp_path: Path) -> None:
    settings = keyed(tmp_path).model_copy(update={"lock_wait_seconds": 0.5})
    database.connect(settings, settings.warehouse).close()
    code = (
        "import sys; from pathlib import Path; from cdp_pipelines import database; from cdp_pipelines.config import Settings; "
        f"s = Settings(data_dir=Path(sys.argv[1]), encryption_key={KEY!r}); "
        "db = database.connect(s, s.warehouse); print('open', flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout and other.stdout.readline() == "open\n"
        with pytest.raises(WarehouseBusy, match=f"another program \\(PID {other.pid}\\)"), warehouse_lock(settings, "test"):
            pass
    finally:
        other.communicate("\n", timeout=30)
    with warehouse_lock(settings, "test"), pytest.raises(ConfigError, match="does not open"), warehouse_lock(keyed(tmp_path, OTHER), "x"):
        database.connect(keyed(tmp_path, OTHER), settings.warehouse)


@pytest.mark.parametrize("key", [None, KEY])
def test_what_does_not_fit_in_memory_is_put_beside_the_data(tmp_path: Path, key: str | None) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "encryption_key": key, "memory_limit": "100MB"})
    told = "select current_setting('memory_limit'), current_setting('temp_directory')"
    with database.in_memory(settings) as db:
        assert db.execute(told).fetchall() == [("95.3 MiB", str(tmp_path / "duckdb.tmp"))]
        db.execute("create table t as select i, md5(i::varchar) as text from range(3_000_000) as r(i)")
        assert sum(path.stat().st_size for path in (tmp_path / "duckdb.tmp").iterdir()) > 0
        assert db.execute("select count(distinct text) from t").fetchall() == [(3_000_000,)]
    with database.connect(settings, settings.warehouse) as db:
        assert db.execute(told).fetchall()[0] == ("95.3 MiB", f"{settings.warehouse}.tmp")
    assert database.memory_limit(settings) == "100MB"
    assert database.memory_limit(settings.model_copy(update={"memory_limit": None})).endswith("iB")


def test_another_connection_to_an_encrypted_file_comes_while_something_is_put_aside(tmp_path: Path):
    settings = keyed(tmp_path)
    with database.connect(settings, settings.warehouse) as db:
        db.execute("set memory_limit = '20MB'; set threads = 1")
        db.execute("create temp table much as select i, repeat('x', 100) || hash(i) as text from range(500000) t(i)")
        assert list(Path(f"{settings.warehouse}.tmp").iterdir()), "something is to be put aside"
        with database.connect(settings, settings.warehouse) as another:
            assert another.execute("select current_setting('temp_file_encryption')").fetchall() == [(True,)]
