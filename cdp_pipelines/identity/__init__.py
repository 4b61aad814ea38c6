"""Who is who: contact records of all CRMs, put together into people. Pure functions over Arrow and DuckDB."""

from cdp_pipelines.identity.options import Options
from cdp_pipelines.identity.resolve import Resolution, resolve

__all__ = ["Options", "Resolution", "resolve"]
