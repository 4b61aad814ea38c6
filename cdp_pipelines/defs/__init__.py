"""The Dagster ring: one file for each stage of the flow, each with a `defs`. Business code lives outside it."""
