"""Spark: a standalone master, two workers, each a process of its own, and the Thrift Server, to which dbt and everybody else send SQL."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from cdp_pipelines.scale import iceberg, postgres
from cdp_pipelines.scale.errors import ScaleError
from cdp_pipelines.scale.ports import HOST, answers
from cdp_pipelines.scale.processes import Processes

MASTER, THRIFT = "spark-master", "spark-thrift"
WORKERS = ("spark-worker-1", "spark-worker-2")
NAMES = (THRIFT, *WORKERS, MASTER)
PORTS = (MASTER, f"{MASTER}-ui", THRIFT, f"{THRIFT}-ui")
_DAEMON_MEMORY, _DRIVER_MEMORY, _WORKER_MEMORY, _EXECUTOR_MEMORY = "256m", "2g", "1g", "768m"
_CLASS = "org.apache.spark.deploy.{0}.{1}"
_STARTS_WITHIN_SECONDS = 60
# A cold JVM on a machine that has other work.
_THRIFT_STARTS_WITHIN_SECONDS = 180
# These two are good for a trial alone: few processors, small tables, most code runs a few times and ends. They halve its processor
# time. A cluster that works for hours on large tables wants none of it.
# Java's quick compiler alone, and a collector without threads of its own.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_FOR_SMALL_TABLES = {
    # What planning costs is more than a good plan saves: no code is made and compiled for each query, no plan is made again while it runs,
    # nor looked through for what would save reading, nor written out as text.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.sql.optimizer.dynamicPartitionPruning.enabled": "false",
    "spark.sql.optimizer.runtime.bloomFilter.enabled": "false",
    "spark.sql.maxPlanStringLength": "100",
    # A task waits for no worker that would have it nearer.
    "spark.locality.wait": "0s",
    # As many parts as there are workers.
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
}
# Debian's package, and other places where it may be.
_JDBC = (Path("/usr/share/java/postgresql.jar"), Path("/usr/share/java/postgresql-jdbc.jar"))


def start(processes: Processes, ports: dict[str, int], warehouse: str) -> None:
    """Start what does not run, and wait until it takes statements. PostgreSQL must run. Raises ScaleError."""
    java()
    home, jars = spark_home(), f"{iceberg.jar()}:{jdbc_jar()}"
    folder = processes.folder / "spark"
    folder.mkdir(exist_ok=True)
    master, daemons = f"spark://{HOST}:{ports[MASTER]}", _environment(home, folder) | {"SPARK_DAEMON_MEMORY": _DAEMON_MEMORY}
    if not processes.pid(MASTER):
        command = [home / "bin/spark-class", _CLASS.format("master", "Master"), "--host", HOST, "--port", str(ports[MASTER])]
        processes.start(MASTER, [*command, "--webui-port", str(ports[f"{MASTER}-ui"])], environment=daemons, cwd=folder)
        processes.wait_until(MASTER, lambda: answers(ports[MASTER]), _STARTS_WITHIN_SECONDS)
    for name in WORKERS:
        if not processes.pid(name):
            command = [home / "bin/spark-class", _CLASS.format("worker", "Worker"), "--host", HOST, "--webui-port", "0", "--cores", "1"]
            processes.start(
                name, [*command, "--memory", _WORKER_MEMORY, "--work-dir", folder / name, master], environment=daemons, cwd=folder
            )
    if not processes.pid(THRIFT):
        options = [f"--conf={name}={value}" for name, value in _configuration(ports, jars, warehouse, folder).items()]
        memory = ["--driver-memory", _DRIVER_MEMORY, "--executor-memory", _EXECUTOR_MEMORY, "--executor-cores", "1"]
        command = [home / "bin/spark-submit", "--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2", "--master", master]
        processes.start(THRIFT, [*command, *memory, *options, "spark-internal"], environment=_environment(home, folder), cwd=folder)
    processes.wait_until(THRIFT, lambda: answers(ports[THRIFT]), _THRIFT_STARTS_WITHIN_SECONDS)


def spark_home() -> Path:
    """Where Spark is: inside PyPI's pyspark. Raises ScaleError when it is not there."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ScaleError("pyspark is not installed in this environment. Run `make scale-setup`, and this from .venv-scale.")
    return Path(spec.origin).parent


def java() -> Path:
    """The program that runs Java, as Spark looks for it. Raises ScaleError."""
    home = os.environ.get("JAVA_HOME")
    found = Path(home) / "bin/java" if home else shutil.which("java")
    if not found or not Path(found).exists():
        where = f" in JAVA_HOME ({home})" if home else ""
        raise ScaleError(
            f"Spark needs Java 17, and there is none{where}. `make scale-setup` as root, or: apt-get install openjdk-17-jre-headless"
        )
    return Path(found)


def jdbc_jar() -> Path:
    """PostgreSQL's driver for Java. Raises ScaleError."""
    for path in _JDBC:
        if path.exists():
            return path.resolve()
    raise ScaleError("PostgreSQL's driver for Java is missing. `make scale-setup` as root, or: apt-get install libpostgresql-jdbc-java")


def _configuration(ports: dict[str, int], jars: str, warehouse: str, folder: Path) -> dict[str, str]:
    catalog = f"spark.sql.catalog.{iceberg.CATALOG}"
    return {
        **_FOR_SMALL_TABLES,
        "spark.driver.extraClassPath": jars,
        "spark.executor.extraClassPath": jars,
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.extraJavaOptions": _JAVA_OPTIONS,
        "spark.executor.extraJavaOptions": _JAVA_OPTIONS,
        "spark.ui.port": str(ports[f"{THRIFT}-ui"]),
        "spark.local.dir": str(folder / "tmp"),
        "spark.hadoop.hive.server2.thrift.port": str(ports[THRIFT]),
        "spark.hadoop.hive.server2.thrift.bind.host": HOST,
        # Times are UTC and what does not cast is null, as in the other engines.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        # dbt-spark names tables in two parts, so the catalog without which they are named is ours.
        "spark.sql.defaultCatalog": iceberg.CATALOG,
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        f"{catalog}.uri": f"jdbc:postgresql://{HOST}:{ports[postgres.NAME]}/{postgres.LAKE}",
        f"{catalog}.jdbc.user": postgres.USER,
        f"{catalog}.jdbc.schema-version": "V1",  # the one that knows views
        f"{catalog}.warehouse": warehouse,
        # dlt writes the same tables: what Spark remembered of them would be old.
        f"{catalog}.cache-enabled": "false",
        # All tables are Iceberg's, so Hive's own catalog may be gone when the server ends.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": (folder / "warehouse").as_uri(),
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:metastore;create=true",
    }


def _environment(home: Path, folder: Path) -> dict[str, str]:
    """That of this process, without somebody's own Spark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_", "HADOOP_"))}
    ours = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": HOST, "SPARK_LOCAL_HOSTNAME": HOST, "SPARK_LOCAL_DIRS": str(folder / "tmp")}
    # Each program is started by another one in Java, which says how.
    java_options = {"SPARK_LAUNCHER_OPTS": _JAVA_OPTIONS, "SPARK_DAEMON_JAVA_OPTS": _JAVA_OPTIONS}
    return {**kept, **ours, **java_options}
