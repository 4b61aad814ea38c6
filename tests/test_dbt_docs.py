"""The page of the models: built by dbt from the project and the warehouse, whole and for use without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from cdp_pipelines import dbt_docs, encryption, history, mapping
from cdp_pipelines.config import Settings
from tests import chromium
from tests.test_transform import RawWarehouse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    raw = RawWarehouse(tmp_path_factory.mktemp("data"))
    assert all(result.ok for result in raw.build())
    dbt_docs.build(raw.settings)
    return raw.settings


@pytest.mark.skipif(chromium.CHROMIUM is None, reason="there is no Chromium here: install the package chromium")
def test_a_browser_shows_what_the_mapping_says_of_contacts_and_asks_nobody_else(settings: Settings):
    fields = mapping.load().entities["contacts"].fields
    with chromium.opened() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{(settings.data_dir / 'models.html').as_uri()}#!/model/model.cdp.contacts")
        page.get_by_text("One row for each person record (contact or lead) in each CRM").first.wait_for()
        shown = page.inner_text("body")
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert said == []
    assert len(fields) > 20
    assert [name for name, field in fields.items() if name not in shown or field.description.split(". ")[0] not in shown] == []
    assert "decimal" in shown.lower(), "the warehouse's types"


def test_it_is_one_file_for_its_owner_and_what_dbt_left_beside_is_gone(settings: Settings):
    page = settings.data_dir / "models.html"
    assert page.stat().st_mode & 0o777 == 0o600
    assert page.stat().st_size < 6_000_000
    assert not [path.name for path in settings.data_dir.iterdir() if path.is_dir() and path.name.startswith("tmp")]


def test_of_an_encrypted_warehouse_it_says_the_same_and_not_the_key(tmp_path: Path):
    settings = Settings(data_dir=tmp_path, encryption_key=SecretStr("k" * 32))
    with history.opened(settings) as db:
        db.execute("create schema standardized; create table standardized.contacts as select 1::decimal(9,2) as lead_score")
    text = dbt_docs.build(settings).read_text()
    key = encryption.load(settings)
    assert key is not None
    assert '"DECIMAL(9,2)"' in text
    assert key.of_database(settings.warehouse) not in text
    assert "k" * 32 not in text


def test_before_the_first_sync_there_are_descriptions_and_no_warehouse_is_made(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "none")
    assert mapping.load().entities["contacts"].fields["lead_score"].description in dbt_docs.build(settings).read_text()
    assert [path.name for path in settings.data_dir.iterdir()] == ["models.html"]
