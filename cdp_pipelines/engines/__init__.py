"""Where raw and modelled tables are kept and built: DuckDB on this machine, or another engine by CDP_ENGINE."""
