"""Which client and which reader serve a kind of connection: the one place that names all three."""

from __future__ import annotations

from cdp_pipelines.config import Connection, HubSpotConnection, Kind, MarketoConnection, SalesforceConnection, Settings
from cdp_pipelines.crm_integrations.base_crm import BaseCRM
from cdp_pipelines.crm_integrations.hubspot import HubSpot
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.sources import hubspot, marketo, salesforce
from cdp_pipelines.sources.hubspot_reconcile import HubSpotReconciler
from cdp_pipelines.sources.marketo_reconcile import MarketoReconciler
from cdp_pipelines.sources.reader import RawTable, Reconciler
from cdp_pipelines.sources.salesforce_reconcile import SalesforceReconciler
from cdp_pipelines.sources.warehouse import Warehouse

TABLES: dict[Kind, tuple[RawTable, ...]] = {
    "salesforce": salesforce.TABLES,
    "hubspot": hubspot.TABLES,
    "marketo": marketo.TABLES,
}


def client(connection: Connection) -> BaseCRM:
    """A client of the connection; nothing is sent before it is used."""
    match connection:
        case SalesforceConnection():
            return Salesforce(connection)
        case HubSpotConnection():
            return HubSpot(connection)
        case MarketoConnection():
            return Marketo(connection)
    raise TypeError(f"no client for {type(connection).__name__}")


def reader(connection: Connection, settings: Settings) -> Reconciler:
    """A reader of the connection's raw tables."""
    known = Warehouse(settings, connection.kind, connection.name)
    match connection:
        case SalesforceConnection():
            return SalesforceReconciler(connection, known)
        case HubSpotConnection():
            return HubSpotReconciler(connection, known)
        case MarketoConnection():
            return MarketoReconciler(connection, known)
    raise TypeError(f"no reader for {type(connection).__name__}")
