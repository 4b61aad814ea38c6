"""What our YAML files are made of: unknown and equal keys are refused, names and types are of a known form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
import yaml.constructor
from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Type = Annotated[str, Field(pattern=r"^(text|integer|boolean|date|timestamp|decimal\(\d+,\d+\))$")]


class Strict(BaseModel):
    """A part of such a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_yaml(path: Path) -> Any:
    """What is in a YAML file; None where it is empty. Raises OSError, and yaml.YAMLError also where two keys are equal."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # the C one takes a tenth of the time
    """YAML keeps the last of two equal keys without a word; here it is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, its keys compared first."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
