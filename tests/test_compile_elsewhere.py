"""The models as warehouses would get them, of which there is none here: compiled by each one's own adapter without a connection, then parsed.

Adapters shut each other out, so that each has an environment of its own in the folder that CDP_TEST_ADAPTERS_DIR names: `make test-warehouses`.
"""

import os
import subprocess
from pathlib import Path

import pytest
import sqlglot
from sqlglot import ErrorLevel, exp

from cdp_pipelines.config import PROJECT_DIR

# What a profile's output has to be told, none of which is anybody's.
TOLD = {
    "snowflake": {"CDP_SNOWFLAKE_ACCOUNT": "account", "CDP_SNOWFLAKE_USER": "user", "CDP_SNOWFLAKE_WAREHOUSE": "wh", "CDP_SNOWFLAKE_DATABASE": "cdp",
                  "DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": "no-password"},
    "bigquery": {"CDP_BIGQUERY_PROJECT": "project", "CDP_BIGQUERY_METHOD": "oauth-secrets", "DBT_ENV_SECRET_BIGQUERY_TOKEN": "no-token"},
    "redshift": {"CDP_REDSHIFT_HOST": "redshift.invalid", "CDP_REDSHIFT_USER": "user", "CDP_REDSHIFT_DATABASE": "cdp",
                 "DBT_ENV_SECRET_REDSHIFT_PASSWORD": "no-password"},
    "databricks": {"CDP_DATABRICKS_HOST": "databricks.invalid", "CDP_DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/none",
                   "DBT_ENV_SECRET_DATABRICKS_TOKEN": "no-token"},
}  # fmt: skip
# What sqlglot does not know and the warehouse documents: any other name that it does not know is a mistake of ours.
KNOWN = {"databricks": {"timestamp_millis"}}


def program(warehouse: str) -> Path:
    folder = os.environ.get("CDP_TEST_ADAPTERS_DIR")
    if not folder:
        pytest.skip("the warehouses' adapters come with `make test-warehouses`")
    return (Path(folder) / warehouse / "bin" / "dbt").absolute()


@pytest.mark.slow
@pytest.mark.parametrize("warehouse", TOLD)
def test_every_model_and_test_compiles_and_parses(warehouse: str, tmp_path: Path):
    command = [program(warehouse), "compile", "--target", warehouse, "--no-introspect", "--no-populate-cache", "--quiet",
               "--project-dir", PROJECT_DIR / "dbt_project", "--profiles-dir", PROJECT_DIR / "dbt_project",
               "--target-path", tmp_path, "--log-path", tmp_path / "logs"]  # fmt: skip
    done = subprocess.run(
        command, check=False, env={**os.environ, **TOLD[warehouse], "DO_NOT_TRACK": "1"}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr

    compiled = sorted((tmp_path / "compiled").rglob("*.sql"))
    assert {path.stem for path in (PROJECT_DIR / "dbt_project" / "models").rglob("*.sql")} <= {path.stem for path in compiled}
    unknown = set()
    for path in compiled:
        for statement in sqlglot.parse(path.read_text(), dialect=warehouse, error_level=ErrorLevel.RAISE):
            assert statement is not None and not isinstance(statement, exp.Command), path.name
            unknown |= {function.name.lower() for function in statement.find_all(exp.Anonymous)}
    assert unknown <= KNOWN.get(warehouse, set())
