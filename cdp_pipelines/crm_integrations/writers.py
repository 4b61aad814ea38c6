"""The RecordWriter of a client, whichever CRM it is of."""

from __future__ import annotations

from cdp_pipelines.crm_integrations.base_crm import BaseCRM
from cdp_pipelines.crm_integrations.hubspot import HubSpot
from cdp_pipelines.crm_integrations.hubspot_writes import HubSpotWriter
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.marketo_writes import MarketoWriter
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.crm_integrations.salesforce_writes import SalesforceWriter
from cdp_pipelines.crm_integrations.writes import RecordWriter


def writer_of(client: BaseCRM) -> RecordWriter:
    """What writes through an open client, with its sign-in, limits and count of calls. Raises TypeError for a client that cannot write."""
    if isinstance(client, Salesforce):
        return SalesforceWriter(client)
    if isinstance(client, HubSpot):
        return HubSpotWriter(client)
    if isinstance(client, Marketo):
        return MarketoWriter(client)
    raise TypeError(f"{type(client).__name__} has no writer.")
