"""The `cdp` command. Every command's heavy imports are inside it, so that `cdp --help` is quick."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from cdp_pipelines.cli import alerts, audit, contacts, crms, customers, privacy, reading, sandbox, syncing, webhooks, writeback
from cdp_pipelines.private_files import keep_new_files_private
from cdp_pipelines.scrubbing import clean


class _Commands(TyperGroup):
    """Says an expected error in one line on stderr and exits with 1; a traceback is for what nobody expected."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            said = clean(error)
            if isinstance(error, _expected()):
                typer.echo(f"Error: {' '.join(str(said).split())}", err=True)
                raise typer.Exit(1) from None
            if said is error:
                raise
        raise said


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals hold tokens and people's data
    help="Salesforce, HubSpot and Marketo in one trustworthy set of customer tables.",
)
syncing.register(app)
crms.register(app)
reading.register(app)
app.add_typer(customers.app, name="customers")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(crms.mapping, name="mapping")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(contacts.app, name="contacts")
app.add_typer(writeback.app, name="writeback")
app.add_typer(alerts.app, name="alerts")
app.add_typer(audit.app, name="audit")
app.add_typer(privacy.app, name="privacy")


def main() -> None:
    """Run the command line."""
    keep_new_files_private()
    app()


def _expected() -> tuple[type[Exception], ...]:
    from cdp_pipelines.audit.log import AuditBroken
    from cdp_pipelines.config import ConfigError
    from cdp_pipelines.crm_integrations.base_crm import CRMError
    from cdp_pipelines.filters import FilterError
    from cdp_pipelines.identity import BadOverrides
    from cdp_pipelines.identity.references import NotFound
    from cdp_pipelines.identity.store import StoreBroken
    from cdp_pipelines.lock import WarehouseBusy
    from cdp_pipelines.mapping import MappingError
    from cdp_pipelines.privacy.retention_rules import RetentionError
    from cdp_pipelines.privacy.stores import StillOpen
    from cdp_pipelines.query import NotPublished, QueryError
    from cdp_pipelines.sources.extract import NotLoaded
    from cdp_pipelines.webhooks.inbox import InboxUnavailable
    from cdp_pipelines.writeback.contact_calls import ContactError
    from cdp_pipelines.writeback.plan import PlanError
    from cdp_pipelines.writeback.rules import RulesError
    from cdp_pipelines.writeback.service import WritebackBusy

    reading = ConfigError, CRMError, FilterError, WarehouseBusy, MappingError, NotPublished, QueryError, NotLoaded
    return (
        *reading,
        AuditBroken,
        StillOpen,
        ContactError,
        PlanError,
        RulesError,
        RetentionError,
        WritebackBusy,
        InboxUnavailable,
        NotFound,
        StoreBroken,
        BadOverrides,
    )
