"""Who is who: contact records of all CRMs, put together into people. Pure functions over Arrow and DuckDB."""

from cdp_pipelines.identity.answer import Resolution
from cdp_pipelines.identity.options import Options
from cdp_pipelines.identity.overrides import BadOverrides
from cdp_pipelines.identity.particulars import BadContacts
from cdp_pipelines.identity.resolve import resolve

__all__ = ["BadContacts", "BadOverrides", "Options", "Resolution", "resolve"]
