"""Programs that come from Debian and not from PyPI: which are missing, and getting them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from cdp_pipelines.scale import postgres, redis, spark
from cdp_pipelines.scale.errors import ScaleError
from cdp_pipelines.scale.processes import is_root


def missing() -> list[str]:
    """Debian packages without which the services do not start."""
    wanted: dict[str, Callable[[], object]] = {
        "postgresql": postgres.programs,
        "libpostgresql-jdbc-java": spark.jdbc_jar,
        "openjdk-17-jre-headless": spark.java,
        "redis-server": redis.program,
    }
    return [package for package, find in wanted.items() if not _there(find)]


def install() -> None:
    """Install what is missing. Raises ScaleError with what to do where this process may not, or there is no apt-get."""
    if not (wanted := missing()):
        return
    apt = shutil.which("apt-get")
    if not apt or not is_root():
        raise ScaleError(f"Programs are missing on this machine. Install them: apt-get install {' '.join(wanted)}")
    command = [apt, "install", "-qq", "-y", "--no-install-recommends", *wanted]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        subprocess.run([apt, "update", "-qq"], check=False)
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
            raise ScaleError(f"apt-get could not install {' '.join(wanted)}: see above.")


def _there(find: Callable[[], object]) -> bool:
    try:
        find()
    except ScaleError:
        return False
    return True
