"""The pipelines of a portal's objects and their stages: those that it begins with, and what was added, changed and removed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from cdp_pipelines.sandbox.hubspot.properties import DEAL_STAGES

EPOCH = "1970-01-01T00:00:00Z"
# The properties that hold a record's pipeline and its stage there, by type.
PLACES = {
    "deals": ("pipeline", "dealstage"),
    "tickets": ("hs_pipeline", "hs_pipeline_stage"),
    "leads": ("hs_pipeline", "hs_pipeline_stage"),
}
_TICKET_STAGES = {"1": ("New", "OPEN"), "2": ("Waiting on contact", "OPEN"), "3": ("Waiting on us", "OPEN"), "4": ("Closed", "CLOSED")}


@dataclass(frozen=True)
class Stage:
    """A step of a pipeline. `metadata` are texts, as the API gives them: a deal's `probability`, `isClosed`."""

    id: str
    label: str
    order: int
    metadata: Mapping[str, str]
    created: str = EPOCH
    updated: str = EPOCH

    @property
    def probability(self) -> str:
        """A deal's chance in this stage."""
        return self.metadata.get("probability", "0.0")

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be done with what is in it."""
        return self.metadata.get("isClosed") == "true"

    @property
    def won(self) -> bool:
        """Whether a deal in it is won; one that is closed and not won is lost."""
        return self.closed and float(self.probability) > 0


@dataclass
class Pipeline:
    """A row of stages, by id."""

    id: str
    label: str
    order: int
    stages: dict[str, Stage]
    created: str = EPOCH
    updated: str = EPOCH
    archived: bool = False

    def in_order(self) -> list[Stage]:
        """The stages as people see them."""
        return sorted(self.stages.values(), key=lambda stage: (stage.order, stage.label))


@dataclass
class _Type:
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    # Stages that were removed, which records may still be in.
    removed: dict[str, Stage] = field(default_factory=dict)


class Pipelines:
    """Pipelines by object type (plural name). `audits` are what was done to a pipeline or a stage, by its id, newest first.

    `version` grows with every change.
    """

    def __init__(self) -> None:
        self._types = {kind: _Type({made.id: made}) for kind, made in _first().items()}
        self._ids = count(812_500_301, 7)
        self.audits: dict[str, list[dict[str, Any]]] = {}
        self.version = 0

    def all(self, kind: str, *, archived: bool = False) -> dict[str, Pipeline]:
        """The pipelines of a type by id, as people see them; `archived` adds those that were deleted."""
        found = [p for p in self._of(kind).pipelines.values() if archived or not p.archived]
        return {p.id: p for p in sorted(found, key=lambda p: (p.order, p.label))}

    def stage(self, kind: str, stage_id: str) -> Stage | None:
        """A stage of whichever pipeline, also a removed one."""
        owner = self.owner(kind, stage_id)
        return owner.stages[stage_id] if owner else self._of(kind).removed.get(stage_id)

    def owner(self, kind: str, stage_id: str) -> Pipeline | None:
        """The pipeline that has this stage now."""
        return next((p for p in self.all(kind).values() if stage_id in p.stages), None)

    def values(self, kind: str) -> dict[str, dict[str, str]]:
        """What the properties for a record's pipeline and its stage can be: value -> label."""
        if kind not in PLACES:
            return {}
        found = self.all(kind).values()
        stages = {stage.id: stage.label for p in found for stage in p.in_order()}
        return dict(zip(PLACES[kind], ({p.id: p.label for p in found}, stages), strict=True))

    def completed(self, kind: str, values: dict[str, str], now: Mapping[str, str]) -> dict[str, str]:
        """Values to write with what follows from them: the pipeline of a stage, or the first stage of another pipeline than `now`.

        Approximated: what HubSpot makes of a stage that is not in the pipeline that is sent with it.
        """
        pipeline, stage = PLACES.get(kind, ("", ""))
        if values.get(stage) and (owner := self.owner(kind, values[stage])):
            return {**values, pipeline: owner.id}
        if values.get(pipeline) and values[pipeline] != now.get(pipeline):
            return {**values, stage: self.all(kind)[values[pipeline]].in_order()[0].id}
        return values

    def put(self, kind: str, pipeline: Pipeline) -> None:
        """Add a pipeline, or put it in the place of the one with its id; stages that it no longer has count as removed."""
        known = self._of(kind)
        if (old := known.pipelines.get(pipeline.id)) is not None:
            known.removed |= {stage.id: stage for stage in old.stages.values() if stage.id not in pipeline.stages}
        known.pipelines[pipeline.id] = pipeline
        self.version += 1

    def archive(self, kind: str, pipeline_id: str, at: str) -> None:
        """Delete a pipeline; records stay in its stages. It can be brought back with `put`."""
        known = self._of(kind)
        gone = known.pipelines[pipeline_id]
        known.removed |= gone.stages
        known.pipelines[pipeline_id] = replace(gone, archived=True, updated=at)
        self.version += 1

    def new_id(self) -> str:
        """An id that nothing has yet."""
        return str(next(self._ids))

    def _of(self, kind: str) -> _Type:
        return self._types.setdefault(kind, _Type())


def _first() -> dict[str, Pipeline]:
    deals = {
        key: Stage(key, label, n, {"isClosed": "true" if key.startswith("closed") else "false", "probability": chance})
        for n, (key, (label, chance)) in enumerate(DEAL_STAGES.items())
    }
    tickets = {
        key: Stage(key, label, n, {"ticketState": state, "isClosed": "true" if state == "CLOSED" else "false"})
        for n, (key, (label, state)) in enumerate(_TICKET_STAGES.items())
    }
    return {
        "deals": Pipeline("default", "Sales Pipeline", 0, deals),
        "contacts": Pipeline("contacts-lifecycle-pipeline", "Lifecycle Stage Pipeline", 0, {}),
        "tickets": Pipeline("0", "Support Pipeline", 0, tickets),
    }
