"""PostgreSQL: a cluster of our own, for this machine alone."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from cdp_pipelines.scale.errors import ScaleError
from cdp_pipelines.scale.ports import HOST
from cdp_pipelines.scale.processes import Processes, is_root

NAME = "postgres"
USER = "cdp"
WAREHOUSE, LAKE, DAGSTER = "warehouse", "lake", "dagster"
DATABASES = (WAREHOUSE, LAKE, DAGSTER)
# Debian keeps the server's programs out of the path, one folder for each version.
_DEBIAN = Path("/usr/lib/postgresql")
_STARTS_WITHIN_SECONDS = 60


def programs() -> Path:
    """The folder of the newest PostgreSQL server on this machine. Raises ScaleError where there is none."""
    versions = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda path: float(re.sub(r"[^\d.]", "", path.parent.name) or 0))
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise ScaleError("No PostgreSQL server is installed (initdb is missing). `make scale-setup` as root, or: apt-get install postgresql")


def server_user() -> str | None:
    """As whom the server runs: the user of this process, which is None, unless that is root, as whom PostgreSQL refuses to."""
    if not is_root():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise ScaleError(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody. Run this as another user."
    )


def start(processes: Processes, port: int) -> None:
    """Start the server, made anew where there is none yet, and make sure that its databases are there. Whoever is on this machine may sign
    in without a password; nobody else can. Raises ScaleError."""
    binaries, user, data = programs(), server_user(), processes.folder / "postgres"
    if user:
        _let_pass(data.parent)
    if not (data / "PG_VERSION").exists():
        data.mkdir(parents=True, exist_ok=True)
        if user:
            shutil.chown(data, user, pwd.getpwnam(user).pw_gid)
        options = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        _run([str(binaries / "initdb"), *options, "-D", str(data)], user)
    options = {
        "listen_addresses": HOST, "port": port, "unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC",
        # Spark's Thrift Server keeps two for each session that there was, and each sync has some two dozen sessions (Iceberg 1.10's JDBC catalog).
        "max_connections": 500,
        # A transaction that was told as done may be lost in a power cut; nothing is ever half there.
        "synchronous_commit": "off",
    }  # fmt: skip
    command = [binaries / "postgres", "-D", data, *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))]
    processes.start(NAME, command, cwd=data, user=user, end_with=signal.SIGINT)
    at = ["-h", HOST, "-p", str(port)]
    processes.wait_until(NAME, lambda: _succeeds([str(binaries / "pg_isready"), "-q", *at]), _STARTS_WITHIN_SECONDS)
    listed = _run([str(binaries / "psql"), *at, "-U", USER, "-d", "postgres", "-At", "-c", "select datname from pg_database"], None)
    for name in sorted(set(DATABASES) - set(listed.split())):
        _run([str(binaries / "createdb"), *at, "-U", USER, name], None)


def url(port: int, database: str, scheme: str = "postgresql") -> str:
    """The address of one of the databases."""
    return f"{scheme}://{USER}@{HOST}:{port}/{database}"


def make(folder: Path) -> None:
    """Make a folder that the server's user may pass, and those above it that are missing. What is in it, they cannot list."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir()
        if server_user():
            path.chmod(0o711)


def _let_pass(folder: Path) -> None:
    """Let the server's user reach its data in a folder of ours. Raises ScaleError where a folder above lets nobody pass."""
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)
    for above in folder.resolve().parents:
        if not above.stat().st_mode & stat.S_IXOTH:
            raise ScaleError(
                f"PostgreSQL runs as another user than root, who may not pass {above}. Choose another folder with --dir, or: chmod o+x {above}"
            )


def _run(command: list[str], user: str | None) -> str:
    group = pwd.getpwnam(user).pw_gid if user else None
    done = subprocess.run(
        command,
        user=user,
        group=group,
        extra_groups=[] if user else None,
        cwd="/",
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ScaleError(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, cwd="/", env=_environment(), capture_output=True, check=False).returncode == 0


def _environment() -> dict[str, str]:
    # Without somebody's own PGHOST, PGSERVICE and the like.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
