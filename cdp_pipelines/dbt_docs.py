"""`make docs`: every model with its columns, what it is made of and what is tested, as one page that dbt writes and that needs no network."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cdp_pipelines import transform
from cdp_pipelines.config import ConfigError, Settings, load_settings
from cdp_pipelines.lock import WarehouseBusy, warehouse_lock
from cdp_pipelines.private_files import keep_new_files_private, write_private


def build(settings: Settings) -> Path:
    """Write the page, for its owner alone, in place of an earlier one; gives its path. Types and sizes are on it once there was a sync.

    Raises TransformError, WarehouseBusy, ConfigError.
    """
    page = settings.data_dir / "models.html"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
        if settings.warehouse.exists():
            with warehouse_lock(settings, "make docs"):
                written = transform.document(settings, Path(folder))
        else:  # dbt would leave an empty warehouse behind
            written = transform.document(settings.model_copy(update={"data_dir": Path(folder)}), Path(folder))
        write_private(page, written.read_bytes())
    return page


def main() -> None:
    """Build the page and say where it is."""
    keep_new_files_private()
    settings = load_settings()
    try:
        page = build(settings)
    except (transform.TransformError, WarehouseBusy, ConfigError) as error:
        sys.exit(f"Error: {error}")
    if not settings.warehouse.exists():
        print("Nothing was synced yet, so that the columns have no types: `make demo` or `cdp sync` first gives them.")
    print(f"To open in a browser: {page}")


if __name__ == "__main__":
    main()
