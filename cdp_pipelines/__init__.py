"""CDP Pipelines: Salesforce, HubSpot and Marketo in one trustworthy set of customer tables in DuckDB."""

import os

# dlt, dbt and Dagster report usage to their makers unless told not to; a pipeline of customer data stays silent by default.
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
