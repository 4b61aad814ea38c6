"""Which faults are on: set by name, matched against each call, counted, switched off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.faults.calls import Call, Proceed
from cdp_pipelines.sandbox.faults.kind import FaultKind
from cdp_pipelines.sandbox.faults.kinds import FAULTS
from cdp_pipelines.sandbox.faults.settings import SwitchError, checked, setting

_METHOD = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) +(.*)", re.DOTALL)
SYNTAX = "CRM:KIND[:NAME=VALUE,...], such as hubspot:rate_limit:path=/crm/v3/objects/contacts*,count=3"


@dataclass
class When:
    """Which calls a fault strikes, and how often."""

    path: str | None = setting(
        None, "A glob on the path or on path?query (decoded), or a regular expression after `re:`; a method may stand before it."
    )
    count: int | None = setting(None, "The next n calls that match, then it is off.")
    rate: float | None = setting(None, "The part of the matching calls, from 0 to 1.")
    seed: int = setting(1, "Which calls a rate chooses; the same seed chooses the same.")
    after: int = setting(0, "Lets the first n matching calls pass.")

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise SwitchError(f"count is at least 1, not {self.count}; without one the fault stays on until it is switched off.")
        if self.rate is not None and not 0 <= self.rate <= 1:
            raise SwitchError(f"rate is from 0 to 1, not {self.rate:g}.")
        if self.after < 0:
            raise SwitchError(f"after is not negative, not {self.after}.")
        self._method, pattern = (found[1], found[2]) if (found := _METHOD.fullmatch(self.path or "")) else (None, self.path)
        self._glob, self._regex = pattern, None
        if (self.path or "").startswith("re:"):
            try:
                self._regex = re.compile((self.path or "")[3:])
            except re.error as error:
                raise SwitchError(f"path is not a regular expression ({error}).") from None

    def matches(self, call: Call) -> bool:
        """Whether a call is one of those meant; a regular expression is searched in `METHOD path?query`."""
        method = call.scope["method"]
        if self._regex is not None:
            return self._regex.search(f"{method} {call.full_path}") is not None
        if self._method not in (None, method):
            return False
        return self._glob is None or fnmatchcase(call.path, self._glob) or fnmatchcase(call.full_path, self._glob)


@dataclass
class Fault:
    """A fault that is on. `seen` calls matched, `done` of them were struck."""

    id: int
    crm: Kind
    name: str
    kind: FaultKind
    when: When
    seen: int = 0
    done: int = 0
    _rng: Random = field(default_factory=Random, repr=False)

    def __post_init__(self) -> None:
        self._rng = Random(self.when.seed)

    @property
    def used_up(self) -> bool:
        """Whether it has struck as often as it should."""
        return self.when.count is not None and self.done >= self.when.count

    def strikes(self, call: Call) -> bool:
        """Whether it strikes this call; counts it."""
        spared = self.kind.spares_sign_in and call.signs_in and self.when.path is None
        if call.crm != self.crm or self.used_up or spared or not self.when.matches(call):
            return False
        self.seen += 1
        if self.seen <= self.when.after or (self.when.rate is not None and self._rng.random() >= self.when.rate):
            return False
        self.done += 1
        return True

    def show(self) -> dict[str, Any]:
        """As the control API lists it."""
        when = {name: value for name, value in asdict(self.when).items() if value != getattr(When, name)}
        return {"id": self.id, "crm": self.crm, "kind": self.name, **when, **asdict(self.kind), "seen": self.seen, "done": self.done}


class Switchboard:
    """The faults that are on, in the order in which they were set: that is also the order in which they strike a call."""

    def __init__(self) -> None:
        self._on: dict[int, Fault] = {}
        self._last = 0

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._on.values()))

    def set(self, given: Mapping[str, Any]) -> Fault:
        """Switch a fault on: `crm`, `kind`, and the fields of `When` and of the kind by name. Raises SwitchError."""
        fault = self._on[self._last + 1] = make_fault(given, self._last + 1)
        self._last += 1
        return fault

    def clear(self, *, crm: str | None = None, fault: int | None = None) -> int:
        """Switch off one fault, a CRM's, or all; gives how many. Raises SwitchError for a CRM or an id that there is not."""
        if crm is not None and crm not in KINDS:
            raise SwitchError(f"There is no CRM '{crm}'; there are: {', '.join(KINDS)}.")
        if fault is not None and fault not in self._on:
            on = ", ".join(map(str, self._on)) or "none"
            raise SwitchError(f"No fault {fault} is on; on are: {on}.")
        gone = [n for n, one in self._on.items() if fault in (None, n) and crm in (None, one.crm)]
        for number in gone:
            del self._on[number]
        return len(gone)

    async def run(self, call: Call, app: Proceed) -> None:
        """Bring a call to the CRM past every fault that is on."""
        await self._past(iter(self), call, app)

    async def _past(self, faults: Iterator[Fault], call: Call, app: Proceed) -> None:
        for fault in faults:
            if fault.strikes(call):
                if fault.used_up:
                    self._on.pop(fault.id, None)
                call.struck.append(fault.name)
                return await fault.kind.strike(call, lambda on: self._past(faults, on, app))
        return await app(call)


def make_fault(given: Mapping[str, Any], number: int = 0) -> Fault:
    """A fault from names and values. Raises SwitchError, which names the valid ones."""
    rest = dict(given)
    crm, name = rest.pop("crm", None), rest.pop("kind", None)
    if crm not in KINDS:
        raise SwitchError(f"There is no CRM '{crm}'; there are: {', '.join(KINDS)}.")
    names = [known for known, kind in FAULTS.items() if crm in kind.crms]
    if name not in names:
        raise SwitchError(f"There is no fault '{name}' for {crm}; there are: {', '.join(names)}.")
    made_by = FAULTS[name]
    when_names, own_names = _names(When), _names(made_by)
    if unknown := [n for n in rest if n not in when_names and n not in own_names]:
        raise SwitchError(f"The fault {name} has no '{unknown[0]}'; there are: {', '.join([*own_names, *when_names])}.")
    when = checked(When, {n: v for n, v in rest.items() if n in when_names}, f"The fault {name}")
    if made_by.first is not None and not {"count", "rate"} & when.keys():
        when["count"] = made_by.first
    kind = made_by(**checked(made_by, {n: v for n, v in rest.items() if n in own_names}, f"The fault {name}"))
    kind.check(crm)
    return Fault(number, crm, name, kind, When(**when))


def parse_fault(text: str) -> dict[str, Any]:
    """A fault as the command line has it (see SYNTAX) as `Switchboard.set` takes it. Raises SwitchError."""
    crm, _, rest = text.partition(":")
    kind, _, settings = rest.partition(":")
    given: dict[str, Any] = {"crm": crm, "kind": kind}
    # A comma that no name follows belongs to the value, such as one in a path.
    for part in re.split(r",(?=\w+=)", settings) if settings else []:
        name, equals, value = part.partition("=")
        if not equals or name in given:
            raise SwitchError(f"'{part}' in '{text}' cannot be read; write {SYNTAX}.")
        given[name] = value
    make_fault(given)
    return given


def parse_option(text: str) -> tuple[Kind, dict[str, str]]:
    """`CRM:NAME=VALUE` of the command line, its name and value checked. Raises SwitchError."""
    crm, _, rest = text.partition(":")
    name, equals, value = rest.partition("=")
    if crm not in KINDS or not equals:
        raise SwitchError(f"'{text}' cannot be read; write CRM:NAME=VALUE, such as hubspot:search_lag_seconds=5.")
    kind: Kind = KINDS[KINDS.index(crm)]
    checked(option_classes()[kind], {name: value}, kind)
    return kind, {name: value}


def option_classes() -> dict[Kind, type]:
    """The options of each emulated CRM."""
    from cdp_pipelines.sandbox.hubspot.api import HubSpotOptions
    from cdp_pipelines.sandbox.marketo.api import MarketoOptions
    from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions

    return {"salesforce": SalesforceOptions, "hubspot": HubSpotOptions, "marketo": MarketoOptions}


def _names(made_by: type[Any]) -> list[str]:
    return [one.name for one in fields(made_by)]
