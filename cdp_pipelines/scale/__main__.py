"""Start and stop the services: python -m cdp_pipelines.scale up|down|status, dagster up|down, packages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cdp_pipelines.config import ConfigError
from cdp_pipelines.private_files import keep_new_files_private
from cdp_pipelines.scale import orchestration, packages, postgres, redis, services, spark
from cdp_pipelines.scale.errors import ScaleError

_PORTS = {"postgres": postgres.NAME, "redis": redis.NAME, "spark-master": spark.MASTER, "thrift": spark.THRIFT}


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cdp_pipelines.scale", description="The services of the distributed engine, on loopback."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start what does not run, and print the settings with which the project finds it")
    up.add_argument("--without-spark", action="store_true", help="PostgreSQL and Redis alone")
    for name in _PORTS:
        up.add_argument(f"--{name}-port", type=int, help="a free one unless given")
    down = commands.add_parser("down", help="end what `up` started; what the services hold stays")
    status = commands.add_parser("status", help="which services run, with their process ids; exit code 1 if one does not")
    for command in (up, down, status):
        command.add_argument("--dir", type=Path, help="where the services keep what they hold (data/scale)")
    dagster = commands.add_parser("dagster", help="Dagster as it is deployed: code server, daemon, webserver, two Celery workers")
    dagster.add_argument("what", choices=["up", "down"])
    dagster.add_argument("--dir", type=Path, help="as above")
    commands.add_parser("packages", help="install the Debian packages that are missing, as root; otherwise say which")
    asked = parser.parse_args(arguments)
    try:
        return _run(asked)
    except (ScaleError, ConfigError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _run(asked: argparse.Namespace) -> int:
    if asked.command == "packages":
        packages.install()
        return 0
    folder = (asked.dir or services.default_folder()).resolve()
    if asked.command == "up":
        ports = {service: port for name, service in _PORTS.items() if (port := getattr(asked, f"{name.replace('-', '_')}_port"))}
        settings = services.up(folder, with_spark=not asked.without_spark, ports=ports, say=_say)
        print("".join(f"{name}={value}\n" for name, value in settings.items()), end="")
        _say(f"these settings, for a shell: . {folder / 'env'}")
    elif asked.command == "dagster" and asked.what == "up":
        print(f"Dagster's UI: {orchestration.up(folder, say=_say)}")
    elif asked.command == "dagster":
        print("Ended: " + (", ".join(orchestration.down(folder)) or "nothing ran."))
    elif asked.command == "down":
        print("Ended: " + (", ".join(services.down(folder)) or "nothing ran."))
    else:
        found = services.status(folder)
        print("".join(f"{name:<16} {pid or 'not running'}\n" for name, pid in found.items()), end="")
        return 0 if all(found.values()) else 1
    return 0


def _say(text: str) -> None:
    print(f"scale: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    keep_new_files_private()
    sys.exit(main())
