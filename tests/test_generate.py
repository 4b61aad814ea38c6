import re
import shutil
from pathlib import Path

import pytest
import yaml

from cdp_pipelines import generate, mapping
from cdp_pipelines.config import PROJECT_DIR

DBT = PROJECT_DIR / "dbt_project"
ENGINE_SQL = DBT / "macros" / "portable.sql"
# Each of these means something else, or nothing, on one of the engines; see macros/portable.sql for what to use instead.
FORBIDDEN = {
    "qualify": r"\bqualify\b", "::": r"::", "distinct on": r"\bdistinct\s+on\b", "union by name": r"\bby\s+name\b", "select *": r"\bselect\s+\*",
    "alias.*": r"\w\.\*", "exclude": r"\bexclude\b", "recursive": r"\brecursive\b", "regular expressions": r"\bregexp_|~", "backslash": r"\\",
    "quoted identifier": r'"', "try_cast": r"\btry_cast\b", "plain cast to timestamp": r"\bas\s+timestamp\w*\s*\)", "arg_max": r"\barg_max\b|\bmax_by\b",
    "string_agg": r"\bstring_agg\b|\blistagg\b", "group by all": r"\bgroup\s+by\s+(all|\d)", "three-part name": r"\bwarehouse\.",
}  # fmt: skip


def models() -> list[Path]:
    return sorted(p for p in [*DBT.glob("models/**/*.sql"), *DBT.glob("macros/*.sql"), *DBT.glob("tests/**/*.sql")] if p != ENGINE_SQL)


def sql_only(text: str) -> str:
    """The SQL of a model, without Jinja and comments."""
    return re.sub(r"--.*", "", re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", " ", text, flags=re.DOTALL))


def test_committed_files_follow_from_the_mapping(capsys: pytest.CaptureFixture[str]):
    assert generate.main(check=True) == 0, capsys.readouterr().out


def test_check_names_missing_changed_and_stray_files_and_write_mends_them(tmp_path: Path):
    spec = mapping.load()
    generate.write(spec, tmp_path)
    assert generate.stale(spec, tmp_path) == []
    missing, changed, stray = (
        "docs/mapping.md",
        "dbt_project/models/standardized/contacts.sql",
        "dbt_project/models/staging/stg_sap__contacts.sql",
    )
    (tmp_path / missing).unlink()
    (tmp_path / changed).write_text("select 1")
    (tmp_path / stray).write_text("select 1")
    assert generate.stale(spec, tmp_path) == sorted([missing, changed, stray])
    generate.write(spec, tmp_path)
    assert generate.stale(spec, tmp_path) == []
    assert not (tmp_path / stray).exists()


def test_write_leaves_files_elsewhere_alone(tmp_path: Path):
    own = tmp_path / "dbt_project/models/unified/company_records.sql"
    own.parent.mkdir(parents=True)
    shutil.copy(DBT / "models/unified/company_records.sql", own)
    stray = own.with_name("pets.sql")
    stray.write_text((DBT / "models/unified/customers.sql").read_text())
    assert "dbt_project/models/unified/pets.sql" in generate.stale(mapping.load(), tmp_path)
    generate.write(mapping.load(), tmp_path)
    assert own.exists() and not stray.exists()


def test_contracts_are_enforced_with_the_specs_columns_in_its_order():
    described = yaml.safe_load((DBT / "models/standardized/_standardized.yml").read_text())
    for model in described["models"]:
        assert model["config"]["contract"]["enforced"] is True
        assert [c["name"] for c in model["columns"]] == list(mapping.load().entities[model["name"]].fields)
    assert {m["name"] for m in described["models"]} == set(mapping.load().entities)


def test_every_note_reaches_the_documentation():
    page = (PROJECT_DIR / "docs/mapping.md").read_text()
    notes = [source.note for *_, feed in mapping.load().feeds() for source in feed.fields.values() if source.note]
    assert notes
    assert [note for note in notes if note not in page] == []


@pytest.mark.parametrize("path", models(), ids=lambda p: p.relative_to(DBT).as_posix())
def test_models_use_only_sql_that_means_the_same_everywhere(path: Path):
    sql = sql_only(path.read_text())
    found = [name for name, pattern in FORBIDDEN.items() if re.search(pattern, sql, re.IGNORECASE)]
    assert found == []


def test_staging_reads_raw_through_the_latest_macros_alone():
    for path in (DBT / "models/staging").glob("stg_*.sql"):
        for call in re.findall(r"{{(.*?)}}", path.read_text(), re.DOTALL):
            assert "source(" not in call or call.strip().startswith(("latest(", "latest_set(")), path.name
