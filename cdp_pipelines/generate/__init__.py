"""Write the files that follow from mapping.yml: dbt's staging and standardized models, the unified tables of winners, and docs/mapping.md.

python -m cdp_pipelines.generate           write them
python -m cdp_pipelines.generate --check   exit 1 if a committed file is out of date
"""

from __future__ import annotations

from pathlib import Path

from cdp_pipelines import mapping
from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.generate import consents, docs, properties, sql, survivors
from cdp_pipelines.mapping import Mapping

HEADER = "generated from cdp_pipelines/mapping.yml by `make generate`; do not edit"
# Nothing written by hand lives in these.
FOLDERS = ("dbt_project/models/staging", "dbt_project/models/standardized")
# Here generated files and such as are written by hand lie side by side; the header tells them apart.
UNIFIED = "dbt_project/models/unified"


def files(spec: Mapping) -> dict[str, str]:
    """Every generated file (path within the project) and its text."""
    staging, standardized = FOLDERS
    made = {
        f"{staging}/_sources.yml": properties.sources(spec),
        f"{staging}/_staging.yml": properties.staging(spec),
        f"{staging}/{sql.FAILED_CASTS}.sql": sql.failed_casts(spec),
        f"{staging}/{sql.ROW_COUNTS}.sql": sql.row_counts(spec),
        f"{standardized}/_standardized.yml": properties.standardized(spec),
        f"{UNIFIED}/_survivors.yml": properties.survivors(spec),
        "docs/mapping.md": docs.mapping_page(spec),
    }
    for kind, entity, model, feed in spec.feeds():
        made[f"{staging}/{sql.model_name(kind, model)}.sql"] = sql.staging(spec, kind, entity, feed)
    for entity in spec.entities:
        made[f"{standardized}/{entity}.sql"] = sql.standardized(spec, entity)
    for name, table in spec.unified.items():
        made[f"{UNIFIED}/{name}.sql"] = survivors.survivors(spec, table)
        made[f"{UNIFIED}/{table.provenance}.sql"] = survivors.provenance(spec, table)
    if spec.consents:
        made[f"{UNIFIED}/{spec.consents.evidence}.sql"] = consents.evidence(spec.consents)
        made[f"{UNIFIED}/{spec.consents.table}.sql"] = consents.decisions(spec.consents)
        made[f"{UNIFIED}/_consents.yml"] = properties.consents(spec.consents)
    comments = {".sql": f"-- {HEADER}\n", ".yml": f"# {HEADER}\n", ".md": f"<!-- {HEADER} -->\n\n"}
    return {path: comments[Path(path).suffix] + text for path, text in made.items()}


def stale(spec: Mapping, project: Path = PROJECT_DIR) -> list[str]:
    """Generated files that are missing or differ from what the spec gives, and files that should not be there."""
    wanted = files(spec)
    differ = [p for p, text in wanted.items() if not (project / p).exists() or (project / p).read_text(encoding="utf-8") != text]
    return sorted([*differ, *_strays(wanted, project)])


def write(spec: Mapping, project: Path = PROJECT_DIR) -> None:
    """Write all generated files and delete what should not be beside them."""
    wanted = files(spec)
    for path in _strays(wanted, project):
        (project / path).unlink()
    for path, text in wanted.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")


def main(check: bool) -> int:
    """The command: the exit code."""
    spec = mapping.load()
    if not check:
        write(spec)
        return 0
    for path in (out_of_date := stale(spec)):
        print(f"out of date: {path}  (run `make generate`)")
    return 1 if out_of_date else 0


def _strays(wanted: dict[str, str], project: Path) -> list[str]:
    present = [p.relative_to(project).as_posix() for folder in FOLDERS for p in (project / folder).rglob("*") if p.is_file()]
    generated = [p for p in (project / UNIFIED).rglob("*") if p.is_file() and HEADER in p.read_text(encoding="utf-8").partition("\n")[0]]
    present += [p.relative_to(project).as_posix() for p in generated]
    return [p for p in present if p not in wanted]
