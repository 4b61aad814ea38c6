"""A plugin of dbt-duckdb, named in `dbt_project/profiles.yml`: lets dbt's connection write the encrypted warehouse, which it attaches then."""

import os
from pathlib import Path

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from cdp_pipelines import database


class Plugin(BasePlugin):
    """dbt-duckdb looks for this name."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Called before files are attached."""
        database.load_crypto(conn, Path(f"{os.environ['CDP_WAREHOUSE']}.tmp"))

    def configure_cursor(self, cursor: DuckDBPyConnection) -> None:
        """Called for each cursor, afterwards: names without a database mean the warehouse, as they would if it had been connected to."""
        cursor.execute(f'use "{Path(os.environ["CDP_WAREHOUSE"]).stem}"')
