"""Files for their owner alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines import history
from cdp_pipelines.config import Settings
from cdp_pipelines.private_files import replaced, write_private
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


def test_a_file_is_replaced_whole_or_not_at_all_and_keeps_its_mode(tmp_path: Path):
    path = tmp_path / "folder" / "file"
    with replaced(path) as new:
        new.write_text("first")
        assert not path.exists()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(ValueError, match="half way"), replaced(path) as new:
        new.write_text("half")
        raise ValueError("half way")
    with replaced(path) as new:
        assert path.read_text() == "first"
        new.write_text("second")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("second", 0o640)
    write_private(path, b"third")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("third", 0o600)
    assert [file.name for file in path.parent.iterdir()] == ["file"]
