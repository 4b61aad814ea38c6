"""Settings with names, types and a sentence each: the parameters of faults and the options of the emulated CRMs.

Both are dataclasses. What a field means is read from where its author wrote it: `metadata["doc"]`, a string below the field, or the sentences
of the class's docstring that name it in backticks.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

_HEADING = re.compile(r"^[A-Z][a-z-]+: (?=`|With)", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.;])\s+(?=[A-Z`])")


class SwitchError(ValueError):
    """A name or value that there is not; the text names the valid ones."""


@dataclass(frozen=True)
class Setting:
    """One field: what it is called, which values it takes, its default, what it does, and whether its docs call it approximated."""

    name: str
    type: str
    default: Any
    doc: str
    approximated: bool


def setting(default: Any, doc: str) -> Any:
    """A dataclass field with its sentence."""
    return field(default=default, metadata={"doc": doc})


@cache
def settings_of(made_by: type[Any]) -> dict[str, Setting]:
    """The fields of a dataclass, by name."""
    hints, below = get_type_hints(made_by), _docs_below(made_by)
    told = _passages(made_by, hints)
    found = {}
    for one in fields(made_by):
        doc = one.metadata.get("doc") or below.get(one.name) or " ".join(passage for passage in told if _names(one.name, passage))
        default = one.default if one.default is not MISSING else one.default_factory() if one.default_factory is not MISSING else None
        doc = re.sub(rf"^`{one.name}`: ", "", " ".join(doc.split()).rstrip(";,"))
        found[one.name] = Setting(one.name, _written_type(hints[one.name]), plain(default), doc, "approximat" in doc.lower())
    return found


def values_of(holder: Any) -> dict[str, Any]:
    """What a dataclass object is set to, as JSON can hold it."""
    return {one.name: plain(getattr(holder, one.name)) for one in fields(holder)}


def checked(made_by: type[Any], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The given values in the types of a dataclass's fields; text is read as on a command line. Raises SwitchError."""
    hints = get_type_hints(made_by)
    known = [one.name for one in fields(made_by)]
    found = {}
    for name, value in given.items():
        if name not in known:
            raise SwitchError(f"{what} has no '{name}'; there are: {', '.join(known) or 'none'}.")
        adapter = TypeAdapter(hints[name], config=ConfigDict(coerce_numbers_to_str=True))
        try:
            found[name] = adapter.validate_python(_from_text(value, hints[name]) if isinstance(value, str) else value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise SwitchError(f"{what}: '{name}' is {_written_type(hints[name])}, not {value!r} ({reason}).") from None
    return found


def plain(value: Any) -> Any:
    """A value as JSON can hold it: sets as sorted lists."""
    if isinstance(value, set | frozenset | list | tuple):
        listed = [plain(entry) for entry in value]
        return sorted(listed, key=str) if isinstance(value, set | frozenset) else listed
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _from_text(value: str, hint: Any) -> Any:
    if value.lower() in ("none", "null") and type(None) in get_args(hint):
        return None
    if "[" in str(hint) and str(hint).startswith(("frozenset", "set", "list", "tuple")):
        return [part for part in re.split(r"[;+]", value) if part]
    return value


def _written_type(hint: Any) -> str:
    if isinstance(hint, type) and not get_args(hint):
        return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(hint.__name__, hint.__name__)
    if str(hint).startswith("typing.Literal"):
        return " | ".join(str(value) for value in get_args(hint))
    parts = [_written_type(part) for part in get_args(hint) if part is not type(None)]
    if type(None) in get_args(hint):
        return " | ".join([*parts, "none"])
    if str(hint).startswith(("frozenset", "set", "list", "tuple")):
        return f"list of {parts[0]}"
    return str(hint).replace("typing.", "")


def _names(field_name: str, passage: str) -> bool:
    return re.search(rf"`{field_name}\b", passage) is not None


def _passages(made_by: type[Any], names: Mapping[str, Any]) -> list[str]:
    """The parts of a docstring, each about the fields that it names; one that names none goes with the one before it."""
    # A clause that begins with a field is a part of its own: "`lag` is how late, `cap` how many"; a list of fields is not.
    clause = re.compile(rf",\s+(?:and\s+)?(?=`(?:{'|'.join(names)})\b`?[^`,:]* (?!and\b)[a-z(])")
    found = []
    for paragraph in re.split(r"\n\s*- |\n\n", inspect.cleandoc(made_by.__doc__ or "")):
        begun = len(found)
        text = _HEADING.sub("", " ".join(paragraph.split()))
        for part in (part for sentence in _SENTENCE.split(text) for part in clause.split(sentence)):
            if len(found) > begun and not any(_names(name, part) for name in names):
                found[-1] += f" {part}"
            else:
                found.append(part)
    return found


def _docs_below(made_by: type[Any]) -> dict[str, str]:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(made_by))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    lines = body.body if isinstance(body, ast.ClassDef) else []
    for above, line in pairwise(lines):
        value = line.value.value if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) else None
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name) and isinstance(value, str):
            found[above.target.id] = value
    return found
