"""The lake: Iceberg tables in a folder, and their catalog in PostgreSQL, which Spark and dlt share.

The runtime jar comes from PyPI, inside a package that repacks it, so its bytes are checked before anything loads them.
"""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

from cdp_pipelines.config import KINDS
from cdp_pipelines.scale.errors import ScaleError

CATALOG = "lake"
VERSION = "1.10.2"
JAR = f"iceberg-spark-runtime-3.5_2.12-{VERSION}.jar"
SHA256 = "c562d482dcd16b666e808b755469fbc4b2604284b41622c9d87e2c02b7cc6c5f"
JAR_SETTING = "CDP_ICEBERG_JAR"
_PACKAGE = "snowpark_connect_deps_iceberg"
# `default` is what a client of the Thrift Server uses first. The others would be made by whoever comes first; two at once trip over each other.
NAMESPACES = ("default", *(f"raw_{kind}" for kind in KINDS), "staging", "standardized", "working", "unified")


def named() -> str | None:
    """The jar that CDP_ICEBERG_JAR names, if any."""
    return os.environ.get(JAR_SETTING) or None


def jar() -> Path:
    """The runtime jar: the one that CDP_ICEBERG_JAR names, else the pinned one, checked. Raises ScaleError."""
    if other := named():
        if not (path := Path(other).expanduser().resolve()).is_file():
            raise ScaleError(f"{JAR_SETTING} names {other}, which is no file. Correct it, or unset it for Iceberg {VERSION}.")
        return path
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ScaleError(f"The package {_PACKAGE} is not installed in this environment. Run `make scale-setup`, and this from .venv-scale.")
    path = Path(spec.origin).parent / "jars" / JAR
    if not path.is_file():
        raise ScaleError(
            f"{path} is missing. `make scale-setup` installs the release that has it; or set {JAR_SETTING} to a jar of your own."
        )
    check(path, SHA256)
    return path


def check(path: Path, sha256: str) -> None:
    """Raises ScaleError when a file has other bytes than it should."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ScaleError(
            f"{path} has the SHA-256 {found}, not {sha256}: it is not the file that was tried. Install it anew (`rm -r .venv-scale`, "
            f"`make scale-setup`), or set {JAR_SETTING} to a jar that you trust."
        )


def create_namespaces(uri: str, warehouse: str) -> None:
    """Make the catalog's tables and namespaces, where they are missing."""
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog(CATALOG, uri=uri, warehouse=warehouse)
    for name in NAMESPACES:
        catalog.create_namespace_if_not_exists(name)
    catalog.close()
