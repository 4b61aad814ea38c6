"""Build the staging, standardized and unified tables with dbt, inside this process."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from cdp_pipelines import config, database, encryption
from cdp_pipelines.config import Settings
from cdp_pipelines.engines.choice import elsewhere
from cdp_pipelines.environment import environment
from cdp_pipelines.private_files import keep_new_files_private, replaced
from cdp_pipelines.scrubbing import scrub

PROJECT_DIR = config.PROJECT_DIR / "dbt_project"
# Layer -> what dbt selects for it. Two, so that checks can stand between them.
LAYERS = {"standardized": "staging standardized", "unified": "unified"}
# dbt's own name for what it keeps of a parsed project.
PARSED = "partial_parse.msgpack"


class TransformError(Exception):
    """dbt could not begin: the project does not parse or the warehouse does not open. The text is dbt's."""


@dataclass(frozen=True)
class NodeResult:
    """What became of one model or test.

    `resource_type` is `model` or `test`; `status` is dbt's: success, pass, warn, fail, error or skipped. `failures` counts a
    test's offending rows; `seconds` is the time it took. `table` is the model itself or the one that a test is about; `node` is dbt's own
    name, which for a test says the table again. Of a test, `kind` is the generic test that it is of, `column` the column, if it is about one,
    and `sql` what it ran.
    """

    name: str
    resource_type: str
    status: str
    message: str | None
    failures: int | None
    seconds: float
    table: str | None = None
    description: str | None = None
    node: str = ""
    kind: str | None = None
    column: str | None = None
    sql: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it did what it should; a warning counts as well done."""
        return self.status in ("success", "pass", "warn")


def build(select: str, settings: Settings, *, full_refresh: bool = False) -> list[NodeResult]:
    """Run `dbt build` for a selection (see LAYERS) against the warehouse; the caller holds its lock.

    Unit tests are left out: they test the code, not the data. Models and tests that fail are in the answer; TransformError is raised only
    when dbt could not begin. Afterwards the warehouse file is closed.
    """
    # What dbt did is asked of dbt itself, rather than written to files each time together with all that it knows of the project.
    arguments = ["build", "--select", *select.split(), "--exclude-resource-type", "unit_test", "--no-write-json", "--cache-selected-only"]
    done = _invoke([*arguments, "--full-refresh"] if full_refresh else arguments, settings, settings.data_dir / "dbt" / "target")
    return [_result(result) for result in done.results]


def downstream(layer: str, raw_tables: Iterable[tuple[str, str]]) -> str:
    """What dbt selects for the models of a layer that are made, directly or not, from some raw tables (CRM and table)."""
    return " ".join(f"source:raw_{kind}.{table}+,{part}" for kind, table in sorted(raw_tables) for part in LAYERS[layer].split())


def version() -> str:
    """Which models these are: a digest of the dbt project's own files, and of dbt's version."""
    digest = hashlib.sha256(installed_version("dbt-core").encode() + (PROJECT_DIR / "dbt_project.yml").read_bytes())
    for folder in ("models", "macros", "tests"):
        for path in sorted(file for file in (PROJECT_DIR / folder).rglob("*") if file.is_file()):
            digest.update(f"{path.relative_to(PROJECT_DIR)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def manifest(settings: Settings) -> Path:
    """dbt's manifest of the project's models as they are, made anew where they are others than when it was made. Raises TransformError.

    Each engine has its own: what is a part of a query on one is a table on another. Several processes may ask at once: each makes its own,
    and the last one stays. Beside it is what dbt itself reads the project back from.
    """
    folder = PROJECT_DIR / "target" / ("" if settings.engine == "duckdb" else settings.engine)
    made, of = folder / "manifest.json", folder / "manifest.version"
    if not (made.exists() and of.exists() and of.read_text() == version()):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            written = parse(settings, Path(scratch))
            written.with_name(PARSED).replace(folder / PARSED)
            written.replace(made)
        with replaced(of) as new:
            new.write_text(version())
    return made


def parse(settings: Settings, target: Path) -> Path:
    """Write dbt's manifest to a folder; gives its path. Raises TransformError."""
    _invoke(["parse"], settings, target)
    return target / "manifest.json"


def document(settings: Settings, target: Path) -> Path:
    """Let dbt describe the project and the warehouse's tables in one HTML file in a folder; gives its path. The caller holds the warehouse's
    lock. Raises TransformError."""
    _invoke(["docs", "generate", "--static"], settings, target)
    return target / "static_index.html"


def close_connections() -> None:
    """Let go of the warehouse: dbt-duckdb keeps it open for the life of the process, and nobody else could open it meanwhile."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
        DuckDBConnectionManager._ENV = None


def _invoke(arguments: list[str], settings: Settings, target: Path) -> Any:
    # Takes two seconds to import, which `cdp --help` need not wait for.
    from dbt.cli.main import dbtRunner

    options = {
        "--project-dir": PROJECT_DIR, "--profiles-dir": PROJECT_DIR, "--target-path": target, "--log-path": settings.data_dir / "dbt" / "logs",
        "--target": _target(settings), "--log-level": "none", "--log-level-file": "info",
    }  # fmt: skip
    target.mkdir(parents=True, exist_ok=True)
    parsed = _parsed(settings) if arguments[0] == "build" else None
    try:
        given = {"CDP_WAREHOUSE": str(settings.warehouse), "CDP_MEMORY_LIMIT": database.memory_limit(settings), "DO_NOT_TRACK": "1"}
        with environment({**given, **_variables(settings)}):
            command = [*arguments, *(str(part) for option in options.items() for part in option), "--no-print"]
            outcome = dbtRunner(manifest=parsed).invoke(command)
            remembered = target / "partial_parse.msgpack"
            if outcome.exception is not None and outcome.result is None and remembered.exists():
                # What dbt remembers of an older version of the project can stop it, such as a description that moved to another file.
                remembered.unlink()
                close_connections()
                outcome = dbtRunner().invoke(command)
    finally:
        close_connections()
    if outcome.exception is not None:
        raise TransformError(scrub(f"dbt {arguments[0]}: {str(outcome.exception).strip()}")) from None
    return outcome.result


def _parsed(settings: Settings) -> Any:
    """The project as dbt parsed it before, anew for each run, since a run changes it: what a data directory's first build need not wait for.

    None where dbt parses for itself: on an engine whose database has a name of its own, which is a part of what is parsed, and where what
    came with the code is out of date and cannot be written.
    """
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    if settings.engine != "duckdb":
        return None
    try:
        kept = manifest(settings).with_name(PARSED).read_bytes()
    except OSError:
        return None
    parsed = Manifest.from_msgpack(kept, decoder=extended_mashumuro_decoder)
    parsed.build_flat_graph()
    return parsed


def _target(settings: Settings) -> str:
    if settings.engine != "duckdb":
        return settings.engine
    return "encrypted" if encryption.load(settings) else "duckdb"


def _variables(settings: Settings) -> dict[str, str]:
    """What dbt's profile needs to know: of another engine, or the warehouse's key. dbt keeps what is named DBT_ENV_SECRET out of all that it
    writes."""
    if (engine := elsewhere(settings)) is not None:
        return engine.variables()
    key = encryption.load(settings)
    return {"DBT_ENV_SECRET_WAREHOUSE": key.of_database(settings.warehouse)} if key else {}


def _result(result: Any) -> NodeResult:
    node = result.node
    # What a test is about is told by id: `model.<project>.<name>`.
    about = node.unique_id if node.resource_type == "model" else node.attached_node
    return NodeResult(
        name=_name(node),
        resource_type=str(node.resource_type),
        status=str(result.status),
        message=scrub(result.message) if result.message else result.message,
        failures=result.failures,
        seconds=result.execution_time,
        table=about.split(".")[-1] if about else None,
        description=node.description or None,
        node=node.name,
        kind=metadata.name if (metadata := getattr(node, "test_metadata", None)) else None,
        column=getattr(node, "column_name", None),
        sql=node.compiled_code,
    )


def _name(node: Any) -> str:
    """A test's name without what says the table again: `not_null_customer_id`, not `not_null_contacts_customer_id`."""
    metadata = getattr(node, "test_metadata", None)
    if not metadata:
        return node.name
    return "_".join(filter(None, [metadata.name, node.column_name]))


if __name__ == "__main__":  # `make setup` and `make generate` have it ready
    keep_new_files_private()
    manifest(Settings())
