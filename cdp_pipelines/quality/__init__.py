"""Whether the data can be trusted: checks of tables, and what is measured of them from run to run. See docs/quality.md."""
