"""What is started is what is ended, ports, the pinned jar; none of it needs a service."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.scale import __main__ as command
from cdp_pipelines.scale import iceberg, packages, postgres, services, spark, workers
from cdp_pipelines.scale.errors import ScaleError
from cdp_pipelines.scale.ports import HOST, chosen
from cdp_pipelines.scale.processes import Processes

CHILD = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print(p.pid, flush=True); p.wait()"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


def start(processes: Processes, name: str, code: str) -> int:
    pid = processes.start(name, [sys.executable, "-c", code])
    processes.wait_until(name, lambda: processes.log(name).stat().st_size > 0, 30)
    return pid


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_process_is_found_again_and_ended_with_all_that_it_started(tmp_path: Path):
    pid = start(Processes(tmp_path), "one", CHILD)
    child = int(Processes(tmp_path).log("one").read_text())
    assert Processes(tmp_path).pid("one") == pid
    assert runs(child)
    assert Processes(tmp_path).end(["one"]) == ["one"]
    assert not runs(pid)
    assert not runs(child)
    assert Processes(tmp_path).pid("one") is None
    assert Processes(tmp_path).end(["one"]) == []


def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path):
    processes = Processes(tmp_path)
    pid = start(processes, "one", CHILD)
    state = tmp_path / "state.json"
    kept = state.read_text()
    created = str(psutil.Process(pid).create_time())
    assert created in kept
    state.write_text(kept.replace(created, str(psutil.Process(pid).create_time() - 100)))
    assert processes.end(["one"]) == []
    assert runs(pid)
    state.write_text(kept)
    assert processes.end(["one"]) == ["one"]


def test_one_that_does_not_end_in_order_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cdp_pipelines.scale.processes.PATIENCE_SECONDS", 0.2)
    processes = Processes(tmp_path)
    pid = start(processes, "stubborn", STUBBORN)
    assert processes.end(["stubborn"]) == ["stubborn"]
    time.sleep(0.1)
    assert not runs(pid)


def test_one_that_does_not_start_is_told_with_what_it_said(tmp_path: Path):
    processes = Processes(tmp_path)
    processes.start("one", [sys.executable, "-c", "raise SystemExit('no such disk')"])
    with pytest.raises(ScaleError, match=r"one ended\. (.|\n)*no such disk"):
        processes.wait_until("one", lambda: False, 30)


def test_a_port_that_is_taken_is_refused_when_asked_for_and_left_when_it_was_ours_before():
    with closing(socket.create_server((HOST, 0))) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(ScaleError, match=f"Port {taken}, asked for redis, is taken"):
            chosen("redis", taken, None)
        assert chosen("redis", None, taken) != taken
    assert chosen("redis", None, taken) == taken
    assert chosen("redis", taken, 1) == taken


def test_a_jar_with_other_bytes_is_refused(tmp_path: Path):
    jar = tmp_path / iceberg.JAR
    jar.write_bytes(b"something else")
    with pytest.raises(ScaleError, match=f"not {iceberg.SHA256}"):
        iceberg.check(jar, iceberg.SHA256)


def test_a_jar_that_is_named_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    jar = tmp_path / "mine.jar"
    monkeypatch.setenv("CDP_ICEBERG_JAR", str(jar))
    with pytest.raises(ScaleError, match="is no file"):
        iceberg.jar()
    jar.write_bytes(b"mine")
    assert iceberg.jar() == jar


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    monkeypatch.setattr(spark, "_JDBC", (tmp_path / "postgresql.jar",))
    with pytest.raises(ScaleError, match=r"JAVA_HOME.*openjdk-17-jre-headless"):
        spark.java()
    with pytest.raises(ScaleError, match="apt-get install postgresql libpostgresql-jdbc-java openjdk-17-jre-headless redis-server"):
        packages.install()


def test_the_newest_server_of_several_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for version in ("9.6", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin/initdb").touch()
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    assert postgres.programs() == tmp_path / "17/bin"


def test_status_and_down_where_nothing_was_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command.main(["status", "--dir", str(tmp_path / "none")]) == 1
    assert command.main(["down", "--dir", str(tmp_path / "none")]) == 0
    assert "nothing ran" in capsys.readouterr().out
    assert set(services.status(tmp_path)) == set(services.NAMES)
    assert workers.workers(tmp_path) == []


def test_the_pins_are_those_of_the_requirements():
    lines = (PROJECT_DIR / "requirements-scale.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in line and "://" not in line and "--" not in line for line in pinned)
    base = dict(line.split("==") for line in (PROJECT_DIR / "requirements.txt").read_text().splitlines())
    named = {line.split("==")[0].partition("[")[0]: line.split("==")[1] for line in pinned}
    assert named["dlt"] == base["dlt"]
    assert named["dagster-postgres"] == named["dagster-celery"] == base["dagster-dbt"]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")
@pytest.mark.skipif(not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="needs PostgreSQL's server")
@pytest.mark.slow
def test_up_is_found_by_the_next_up_and_ended_by_down(tmp_path: Path):
    if os.geteuid() == 0:
        for above in (
            tmp_path,
            *(p for p in tmp_path.parents if "pytest-" in str(p)),
        ):  # pytest's own folders let nobody else pass, and the server is somebody else
            above.chmod(0o711)
    folder = tmp_path / "scale"
    try:
        settings = services.up(folder, with_spark=False)
        before = services.status(folder)
        assert before["postgres"]
        assert before["redis"]
        assert services.up(folder, with_spark=False) == settings
        assert services.status(folder) == before
        assert f"export CDP_CELERY_BROKER={settings['CDP_CELERY_BROKER']}\n" in (folder / "env").read_text()
    finally:
        ended = services.down(folder)
    assert ended == ["redis", "postgres"]
    assert not any(services.status(folder).values())
