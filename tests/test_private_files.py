"""Files for their owner alone."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

from cdp_pipelines import history
from cdp_pipelines.config import Settings
from cdp_pipelines.publish import publish_status


@pytest.mark.parametrize(("mode", "bits"), [(None, 0o600), ("640", 0o640), ("644", 0o644)])
def test_the_warehouse_becomes_private_and_the_published_file_is_as_it_is_set(tmp_path, mode, bits):
    settings = Settings.model_validate({"data_dir": tmp_path} | ({"published_mode": mode} if mode else {}))
    duckdb.connect(str(settings.warehouse)).close()
    settings.warehouse.chmod(0o644)
    history.opened(settings).close()
    assert settings.warehouse.stat().st_mode & 0o777 == 0o600
    publish_status(settings)
    assert settings.published.stat().st_mode & 0o777 == bits


def test_the_command_line_makes_private_files():
    code = "import os, sys\nfrom cdp_pipelines.cli import main\nsys.argv = ['cdp', '--help']\ntry:\n    main()\nexcept SystemExit:\n    print(oct(os.umask(0)))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.splitlines()[-1] == "0o77"
