"""What a sync of the three sandbox CRMs publishes, for tests that look at it as people would."""

from __future__ import annotations

import pytest

from cdp_pipelines.config import Settings, connection_from_config
from cdp_pipelines.sandbox import hosting


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a data directory that has everything; look, and change nothing."""
    from cdp_pipelines.sync import sync

    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    with hosting.child(Settings(data_dir=tmp_path_factory.mktemp("sandbox"), sandbox_people=200)) as (addresses, _):
        assert sync(settings, [connection_from_config(name, config) for name, config in addresses.connections().items()]).complete
    return settings
