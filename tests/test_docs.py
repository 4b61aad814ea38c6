"""What the documentation says of commands, targets, settings and tables, held against what is there."""

from __future__ import annotations

import re

import pytest

from cdp_pipelines import mapping
from cdp_pipelines.config import CONNECTION_CLASSES, PROJECT_DIR, Settings
from cdp_pipelines.identity import tables as identity_tables
from cdp_pipelines.secret_sources import is_secret

README = (PROJECT_DIR / "README.md").read_text()
DOCS = [PROJECT_DIR / "README.md", PROJECT_DIR / "CONTRIBUTING.md", *sorted((PROJECT_DIR / "docs").rglob("*.md"))]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (PROJECT_DIR / "Makefile").read_text(), re.MULTILINE))


def test_every_make_target_that_is_spoken_of_exists():
    spoken = {target for page in DOCS for target in re.findall(r"(?:`|^|&& )make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert spoken >= {"demo", "test", "dev", "check", "generate", "bench", "clean"}
    assert spoken - targets() == set()


def test_every_command_is_in_the_readme_and_the_other_way_round():
    from tests.test_cli import COMMANDS

    section = README.partition("## Commands")[2].partition("From Python")[0]
    spoken = re.findall(r"`cdp ([a-z -]+?)(?: \[| \"|`)", section)
    assert set(spoken) == COMMANDS


def test_every_published_table_is_in_the_readme():
    unified = [
        path for path in (PROJECT_DIR / "dbt_project/models/unified").glob("*.sql") if "materialized='ephemeral'" not in path.read_text()
    ]
    assert len(unified) > 5
    tables = {
        *mapping.load().entities,
        *(path.stem for path in unified),
        *identity_tables.TABLES,
        "sync_status",
        "rejected_rows",
        "data_quality",
        "event_lags",
    }
    section = README.partition("## What comes out")[2].partition("## Commands")[0]
    assert tables - set(re.findall(r"`([a-z_]+)`", section)) == set()


@pytest.mark.parametrize(
    "page", ["README.md", "docs/connections.md", "docs/monitoring.md", "docs/real-time.md", "docs/security.md", ".env.example"]
)
def test_every_setting_that_is_spoken_of_exists(page):
    text = (PROJECT_DIR / page).read_text()
    by_prefix = {"CDP": Settings.model_fields, **{kind.upper(): cls.model_fields for kind, cls in CONNECTION_CLASSES.items()}}
    fields = {f"{prefix}_{name}".upper() for prefix, known in by_prefix.items() for name in known}
    fields |= {f"{prefix}_{name}_file".upper() for prefix, known in by_prefix.items() for name, field in known.items() if is_secret(field)}
    spoken = set(re.findall(r"\b(?:SALESFORCE|HUBSPOT|MARKETO|CDP)_[A-Z0-9_]*[A-Z0-9]\b", text))
    assert spoken
    assert spoken - fields == set()


def test_links_between_pages_lead_somewhere():
    for page in DOCS:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_modules_that_are_spoken_of_exist():
    text = (PROJECT_DIR / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.(?:py|yml))`", text):
        assert (PROJECT_DIR / "cdp_pipelines" / name).exists(), name
