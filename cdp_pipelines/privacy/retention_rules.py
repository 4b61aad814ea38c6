"""retention.yml, typed and strict: how many days what is no longer current is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from cdp_pipelines.strict import Strict, read_yaml

PATH = Path(__file__).parents[1] / "retention.yml"
# HubSpot restores for 90 days, Salesforce for 15.
SHOWN_AGAIN_WITHIN = 100

Forever = Literal["forever"]
Days = Annotated[int, Field(ge=1)] | Forever


class RetentionError(Exception):
    """retention.yml is wrong; the text names the place and what to do."""


class Rules(Strict, strict=True):
    """The whole file; what it leaves out is kept for ever."""

    raw_deleted: Annotated[int, Field(ge=SHOWN_AGAIN_WITHIN)] | Forever = "forever"
    sync_history: Days = "forever"
    check_history: Days = "forever"
    event_lags: Annotated[int, Field(ge=7)] | Forever = "forever"
    inbox_done: Annotated[int, Field(ge=1, le=7)] = 7
    inbox_dead: Days = "forever"
    inbox_refusals: Annotated[int, Field(ge=7)] | Forever = "forever"
    outbox: Days = "forever"
    plans: Days = "forever"
    audit_payloads: Days = "forever"
    logs: Days = "forever"
    exports: Days = "forever"
    dagster_runs: Days = "forever"
    certificates: Days = "forever"

    def before(self, now: datetime) -> Iterator[tuple[str, datetime]]:
        """Each kind of thing that does not stay for ever, and what is older than which moment goes."""
        for name in type(self).model_fields:
            if (days := getattr(self, name)) != "forever":
                yield name, now - timedelta(days=days)


def read(path: Path = PATH) -> Rules:
    """The rules in a file. Raises RetentionError with the place of each mistake."""
    try:
        return Rules(**(read_yaml(path) or {}))
    except OSError as error:
        raise RetentionError(f"{path} cannot be read ({error.strerror}). Set CDP_RETENTION_FILE to the file with the rules.") from None
    except (yaml.YAMLError, TypeError) as error:
        raise RetentionError(f"{path.name}: {error}") from None
    except ValidationError as error:
        said = dict.fromkeys(f"{path.name}: {e['loc'][0]}: {e['msg']}" for e in error.errors())
        raise RetentionError("; ".join(said) + ". Give days as a whole number, or `forever`.") from None
