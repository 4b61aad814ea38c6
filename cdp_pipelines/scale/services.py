"""All services together: up, down, what runs, and the settings with which the project finds them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

from cdp_pipelines.config import Settings
from cdp_pipelines.private_files import write_private
from cdp_pipelines.scale import iceberg, postgres, redis, spark
from cdp_pipelines.scale.ports import HOST, chosen
from cdp_pipelines.scale.processes import Processes

NAMES = (*spark.NAMES, redis.NAME, postgres.NAME)


def default_folder() -> Path:
    """Where the services keep what they hold, unless told otherwise."""
    return Settings().data_dir / "scale"


def up(
    folder: Path,
    *,
    with_spark: bool = True,
    ports: Mapping[str, int] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, str]:
    """Start what does not run; gives the settings, which are also in the file `env` of the folder. `ports` are those that are asked for, by
    service; others are free ones. Raises ScaleError."""
    postgres.make(folder)
    with FileLock(folder / "lock"):
        processes = Processes(folder)
        if not processes.pid(postgres.NAME):
            say("PostgreSQL")
            postgres.start(processes, _port(processes, postgres.NAME, ports))
        if not processes.pid(redis.NAME):
            say("Redis")
            redis.start(processes, _port(processes, redis.NAME, ports))
        settings = _settings(processes)
        if with_spark and not all(map(processes.pid, spark.NAMES)):
            say("the Iceberg catalog")
            Path(folder / "lake").mkdir(exist_ok=True)
            iceberg.create_namespaces(settings["CDP_ICEBERG_CATALOG"], settings["CDP_ICEBERG_WAREHOUSE"])
            if iceberg.named():
                say(f"{iceberg.JAR_SETTING} names another Iceberg jar than the pinned one: its bytes are not checked")
            say("Spark: a master, two workers, the Thrift Server")
            _spark_ports(processes, ports)
            spark.start(processes, processes.ports(), settings["CDP_ICEBERG_WAREHOUSE"])
        settings = _settings(processes)
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
        write_private(folder / "env", "".join(lines).encode())
        return settings


def down(folder: Path) -> list[str]:
    """End what `up` started there and nothing else; gives the names of what ran. What the services hold stays."""
    if not folder.exists():
        return []
    with FileLock(folder / "lock"):
        processes = Processes(folder)
        others = [name for name in processes.names() if name not in NAMES]
        # Who uses a service ends before it.
        return [name for group in (others, spark.NAMES, (redis.NAME, postgres.NAME)) for name in processes.end(group)]


def status(folder: Path) -> dict[str, int | None]:
    """The process id of each service, None for one that does not run."""
    processes = Processes(folder)
    return {name: processes.pid(name) for name in dict.fromkeys([*reversed(NAMES), *processes.names()])}


def _port(processes: Processes, service: str, asked: Mapping[str, int] | None) -> int:
    port = chosen(service, (asked or {}).get(service), processes.ports().get(service))
    processes.keep_ports({service: port})
    return port


def _spark_ports(processes: Processes, asked: Mapping[str, int] | None) -> None:
    """The workers know the master's port only, so it stays while they run, and so do the others with the process that has them."""
    for service in spark.PORTS:
        if not processes.pid(service.removesuffix("-ui")):
            _port(processes, service, asked)


def _settings(processes: Processes) -> dict[str, str]:
    """The settings with which the project finds the services."""
    ports, lake = processes.ports(), processes.folder / "lake"
    found = {
        "CDP_POSTGRES_URL": postgres.url(ports[postgres.NAME], postgres.WAREHOUSE),
        # SQLAlchemy 2.1 takes plain `postgresql` for another driver than the one that is installed.
        "CDP_ICEBERG_CATALOG": postgres.url(ports[postgres.NAME], postgres.LAKE, "postgresql+psycopg2"),
        "CDP_ICEBERG_WAREHOUSE": lake.resolve().as_uri(),
        "CDP_DAGSTER_POSTGRES_URL": postgres.url(ports[postgres.NAME], postgres.DAGSTER, "postgresql+psycopg2"),
        "CDP_CELERY_BROKER": redis.url(ports[redis.NAME]),
    }
    if spark.THRIFT in ports:
        found["CDP_SPARK_URL"] = f"spark://{HOST}:{ports[spark.THRIFT]}"
    return found
