import re
import shutil
from pathlib import Path

import pytest
import yaml

from cdp_pipelines import generate, mapping
from cdp_pipelines.config import PROJECT_DIR

DBT = PROJECT_DIR / "dbt_project"


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


def test_staging_reads_raw_through_the_latest_macros_alone():
    for path in (DBT / "models/staging").glob("stg_*.sql"):
        for call in re.findall(r"{{(.*?)}}", path.read_text(), re.DOTALL):
            assert "source(" not in call or call.strip().startswith(("latest(", "latest_set(")), path.name
