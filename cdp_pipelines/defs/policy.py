"""What holds for every asset and run: who answers for it, which steps take turns, how old it may get, and how a run says what it does."""

from datetime import timedelta

import dagster as dg

OWNERS = ["team:revenue-operations"]
# Every step that opens the warehouse is in this pool; dagster.yaml limits it to one.
POOL = "warehouse"
# A run's id says nothing: this tag does. The list of runs shows tags that are not Dagster's own in each row.
WHAT = "cdp/what"
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))
