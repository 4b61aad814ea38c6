"""What holds for every asset: who answers for it, which steps take turns, and how old it may get."""

from datetime import timedelta

import dagster as dg

OWNERS = ["team:revenue-operations"]
# Every step that opens the warehouse is in this pool; dagster.yaml limits it to one.
POOL = "warehouse"
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))
