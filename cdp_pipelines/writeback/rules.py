"""writeback.yml, typed and strict: which rows go to which CRM, under which policy each field, and how much a plan may change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from cdp_pipelines import mapping
from cdp_pipelines.config import KINDS, Connection
from cdp_pipelines.consents import OPT_OUTS
from cdp_pipelines.strict import Strict, read_yaml

PATH = Path(__file__).parents[1] / "writeback.yml"

Policy = Literal["source_wins", "crm_wins", "fill_empty", "newest"]
Key = Literal["customer_key", "customer_id", "email"]
# Columns that say which record is meant, or what the CRM itself keeps.
NOT_WRITTEN = ("connection", "source_system", "record_type", "customer_id", "created_date", "last_updated")


class RulesError(Exception):
    """writeback.yml is wrong; the text names the place and what to do."""


class FieldRule(Strict):
    """How one field goes to a CRM. `clear` allows null of ours to clear what the CRM has."""

    policy: Policy
    clear: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _clear_needs_a_policy_that_overwrites(self) -> FieldRule:
        if self.clear and self.policy not in ("source_wins", "newest"):
            raise ValueError(f"clear: true goes with source_wins or newest, not with {self.policy}")
        return self


class Target(Strict):
    """What goes to one CRM. `create_as` says what a new record is in Salesforce, which has contacts and leads."""

    fields: Annotated[dict[str, FieldRule], Field(min_length=1)]
    create: bool = False
    create_as: Literal["contact", "lead"] = "contact"


class Flow(Strict):
    """Rows of the published file and where they go."""

    rows: str | None = Field(default=None, pattern=r"^[a-z_]+$")
    select: str | None = None
    key: Key = "customer_key"
    where: str | None = None
    suppress: str | None = None
    newest_by: str | None = None
    to: Annotated[dict[str, Target], Field(min_length=1)]

    @property
    def source(self) -> str:
        """The rows as SQL."""
        return f"({self.select})" if self.select else f'"{self.rows}"'

    @property
    def fields(self) -> list[str]:
        """Our fields that go to any CRM."""
        return list(dict.fromkeys(name for target in self.to.values() for name in target.fields))

    def target(self, connection: Connection) -> Target | None:
        """What goes to a connection: under its own name, else under its kind."""
        return self.to.get(connection.name) or self.to.get(connection.kind)

    @model_validator(mode="after")
    def _hangs_together(self) -> Flow:
        if (self.rows is None) == (self.select is None):
            raise ValueError("give exactly one of rows and select")
        known = mapping.load().entities["contacts"].mapped
        for place, target in self.to.items():
            for name, rule in target.fields.items():
                if name in NOT_WRITTEN or name not in known:
                    valid = ", ".join(sorted(set(known) - set(NOT_WRITTEN)))
                    raise ValueError(f"to.{place}.fields: {name!r} cannot be written; fields of a contact that can: {valid}")
                if name in OPT_OUTS and rule.clear:
                    raise ValueError(f"to.{place}.fields.{name}: clear: true would take back an opt-out, which no write does; leave it out")
                if rule.policy == "newest" and not self.newest_by:
                    raise ValueError(f"to.{place}.fields.{name}: the policy newest needs newest_by, the column with a row's time")
            if target.create and "email" not in target.fields:
                raise ValueError(f"to.{place}: create needs the field email: by it a contact is looked up, so that none is made twice")
        return self


class Guards(Strict):
    """How much one plan may change. `most_share` is of the records that it looked at."""

    most_records: int = Field(default=1000, ge=0)
    most_share: float = Field(default=0.5, ge=0, le=1)
    most_creates: int = Field(default=100, ge=0)
    most_clears: int = Field(default=0, ge=0)


class Rules(Strict):
    """The whole file."""

    guards: Guards = Guards()
    flows: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Flow]

    def chosen(self, names: list[str] | None = None) -> dict[str, Flow]:
        """The flows of these names, or all. Raises RulesError for a name that is not there."""
        for name in names or ():
            if name not in self.flows:
                raise RulesError(f"writeback.yml has no flow {name!r}. Flows: {', '.join(self.flows) or 'none'}.")
        return {name: flow for name, flow in self.flows.items() if not names or name in names}

    def check_connections(self, names: list[str]) -> None:
        """Raise RulesError when a flow goes to what is neither a kind nor one of these connections."""
        for flow_name, flow in self.flows.items():
            for place in flow.to:
                if place not in KINDS and place not in names:
                    raise RulesError(
                        f"writeback.yml: flows.{flow_name}.to.{place}: there is no such connection or kind. "
                        f"Connections: {', '.join(names)}; kinds: {', '.join(KINDS)}."
                    )


def read(path: Path = PATH) -> Rules:
    """The rules in a file. Raises RulesError with the place of the first few mistakes."""
    try:
        return Rules(**(read_yaml(path) or {}))
    except OSError as error:
        raise RulesError(f"{path} cannot be read ({error.strerror}). Set CDP_WRITEBACK_FILE to the file with the rules.") from None
    except yaml.YAMLError as error:
        raise RulesError(f"{path.name}: {error}") from None
    except ValidationError as error:
        raise RulesError("\n".join(_say(path, e["loc"], e["msg"]) for e in error.errors()[:10])) from None


def writes_to(path: Path, connection: Connection) -> bool:
    """Whether any flow of a file writes to a connection; also where the file cannot be read, which is no reason to call a token too powerful."""
    try:
        return any(flow.target(connection) is not None for flow in read(path).flows.values())
    except RulesError:
        return True


def _say(path: Path, place: tuple[int | str, ...], message: str) -> str:
    return f"{path.name}: {'.'.join(map(str, place))}: {message.removeprefix('Value error, ')}"
