"""What every part of mapping.yml is made of: unknown keys are refused, names and types are of a known form."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Type = Annotated[str, Field(pattern=r"^(text|integer|boolean|date|timestamp|decimal\(\d+,\d+\))$")]


class Strict(BaseModel):
    """A part of the spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)
