"""Calls on pipelines and their stages.

Approximated: the texts of what is refused, that replaced stages are known by their labels, and the raw object of an audit, which is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import Refused, answer, bad_input, invalid, not_found
from cdp_pipelines.sandbox.hubspot.inputs import json_body, objects, text, whole
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi
from cdp_pipelines.sandbox.hubspot.pipelines import PLACES, Pipeline, Stage
from cdp_pipelines.sandbox.hubspot.properties import CONTACTS
from cdp_pipelines.sandbox.hubspot.records import timestamp

Body = dict[str, Any]
# From this version on HubSpot looks whether a stage is in use before it goes, unless told not to (vendor's guide to pipelines, 2026-09).
_CHECKS_SINCE = "2026-09"
_CHECKS = ("validateDealStageUsagesBeforeDelete", "validateReferencesBeforeDelete")


class PipelinesApi:
    """Handlers for `/crm/v3/pipelines` and its dated versions."""

    def __init__(self, objects: ObjectsApi):
        self._objects, self._known, self._options = objects, objects.store.pipelines, objects.options

    async def many(self, request: Request) -> Response:
        """GET the pipelines of a type."""
        return answer({"results": [_pipeline(p) for p in self._shown(self._kind(request)).values()]})

    async def one(self, request: Request) -> Response:
        """GET one pipeline."""
        return answer(_pipeline(self._found(request)))

    async def create(self, request: Request) -> Response:
        """POST a pipeline with its stages."""
        kind, body, at = self._writable(request), await json_body(request), _now()
        stages = {stage.id: stage for stage in self._new_stages(kind, body, at)}
        made = Pipeline(self._known.new_id(), self._free_label(kind, body), _order(body, 0), stages, at, at)
        self._known.put(kind, made)
        self._note(made.id, "CREATE", at)
        return answer(_pipeline(made), 201)

    async def replace(self, request: Request) -> Response:
        """PUT a pipeline: stages keep their ids when they keep their labels, the others go."""
        kind, found, body, at = self._writable(request), self._found(request), await json_body(request), _now()
        by_label, stages = {stage.label: stage for stage in found.stages.values()}, {}
        for new in self._new_stages(kind, body, at):
            if (old := by_label.get(new.label)) is not None:
                new = replace(new, id=old.id, created=old.created)
            stages[new.id] = new
        self._refuse_in_use(request, kind, [stage for stage in found.stages if stage not in stages])
        label = self._free_label(kind, body, found.id)
        return self._changed(kind, replace(found, label=label, order=_order(body, 0), stages=stages, updated=at), at)

    async def update(self, request: Request) -> Response:
        """PATCH a pipeline; `archived: false` brings a deleted one back, and is good for nothing else."""
        kind, body, at = self._writable(request), await json_body(request), _now()
        found = self._found(request, archived=body.get("archived") is False)
        _refuse_archived(body, found.archived)
        label = self._free_label(kind, body, found.id) if "label" in body else found.label
        return self._changed(kind, replace(found, label=label, order=_order(body, found.order), updated=at, archived=False), at)

    async def archive(self, request: Request) -> Response:
        """DELETE a pipeline that is not the last one of its type."""
        kind, found, at = self._writable(request), self._found(request), _now()
        if len(self._known.all(kind)) == 1:
            raise invalid(f"The pipeline {found.id} is the only one of {kind}; it cannot be deleted")
        self._refuse_in_use(request, kind, list(found.stages))
        self._known.archive(kind, found.id, at)
        self._note(found.id, "DELETE", at)
        return Response(None, 204)

    async def audit(self, request: Request) -> Response:
        """GET what was done to a pipeline, newest first."""
        return self._audits(self._found(request).id)

    # Stages.

    async def stages(self, request: Request) -> Response:
        """GET a pipeline's stages."""
        return answer({"results": [_stage(stage) for stage in self._found(request).in_order()]})

    async def stage(self, request: Request) -> Response:
        """GET one stage."""
        return answer(_stage(self._found_stage(request)))

    async def create_stage(self, request: Request) -> Response:
        """POST a stage."""
        kind, found, at = self._writable(request), self._found(request), _now()
        return self._put_stage(kind, found, self._new_stage(kind, await json_body(request), at), "CREATE", at)

    async def replace_stage(self, request: Request) -> Response:
        """PUT a stage."""
        kind, found, old, at = self._writable(request), self._found(request), self._found_stage(request), _now()
        new = self._new_stage(kind, await json_body(request), at)
        return self._put_stage(kind, found, replace(new, id=old.id, created=old.created), "UPDATE", at)

    async def update_stage(self, request: Request) -> Response:
        """PATCH a stage: what is sent of its metadata is put over what is there."""
        kind, found, old, at = self._writable(request), self._found(request), self._found_stage(request), _now()
        body = await json_body(request)
        _refuse_archived(body, was_archived=False)
        metadata = _metadata(kind, {**old.metadata, **_texts(body.get("metadata") or {})})
        new = replace(old, label=text(body, "label", old.label), order=_order(body, old.order), metadata=metadata, updated=at)
        return self._put_stage(kind, found, new, "UPDATE", at)

    async def archive_stage(self, request: Request) -> Response:
        """DELETE a stage that is not the last one; deals may stay in it, unless HubSpot is to look."""
        kind, found, gone, at = self._writable(request), self._found(request), self._found_stage(request), _now()
        if len(found.stages) == 1:
            raise invalid(f"The stage {gone.id} is the only one of the pipeline {found.id}; it cannot be deleted")
        self._refuse_in_use(request, kind, [gone.id])
        self._known.put(kind, replace(found, stages={n: s for n, s in found.stages.items() if n != gone.id}, updated=at))
        self._note(gone.id, "DELETE", at)
        return Response(None, 204)

    async def stage_audit(self, request: Request) -> Response:
        """GET what was done to a stage, newest first."""
        return self._audits(self._found_stage(request).id)

    # Steps.

    def _kind(self, request: Request) -> str:
        return self._objects.kind(request).plural

    def _writable(self, request: Request) -> str:
        if (kind := self._kind(request)) not in PLACES:
            raise invalid(f"The pipelines of {kind} cannot be changed")
        return kind

    def _shown(self, kind: str, *, archived: bool = False) -> dict[str, Pipeline]:
        """The pipelines of a type; those of contacts have the stages that their property `lifecyclestage` can have."""
        found = self._known.all(kind, archived=archived)
        if kind != CONTACTS.plural:
            return found
        choices = self._objects.known(CONTACTS)["lifecyclestage"].choices()
        stages = {key: Stage(key, label, n, {"isClosed": "false", "state": "OPEN"}) for n, (key, label) in enumerate(choices.items())}
        return {name: replace(pipeline, stages=stages) for name, pipeline in found.items()}

    def _found(self, request: Request, *, archived: bool = False) -> Pipeline:
        found = self._shown(self._kind(request), archived=archived).get(request.path_params["id"])
        if found is None:
            raise not_found(request.path_params["id"])
        return found

    def _found_stage(self, request: Request) -> Stage:
        if (found := self._found(request).stages.get(request.path_params["stage"])) is None:
            raise not_found(request.path_params["stage"])
        return found

    def _free_label(self, kind: str, body: Body, mine: str | None = None) -> str:
        label = text(body, "label")
        if any(p.label.lower() == label.lower() and p.id != mine for p in self._known.all(kind).values()):
            raise Refused(409, f"A pipeline with the label '{label}' already exists.", "CONFLICT")
        return label

    def _new_stages(self, kind: str, body: Body, at: str) -> list[Stage]:
        made = [self._new_stage(kind, given, at) for given in objects(body, "stages")]
        labels = {stage.label.lower() for stage in made}
        if not made or len(labels) < len(made):
            raise invalid("A pipeline must have stages, each with a label of its own")
        return made

    def _new_stage(self, kind: str, body: Body, at: str) -> Stage:
        metadata = _metadata(kind, _texts(body.get("metadata") or {}))
        return Stage(self._known.new_id(), text(body, "label"), _order(body, 0), metadata, at, at)

    def _refuse_in_use(self, request: Request, kind: str, stages: list[str]) -> None:
        """Raises Refused when HubSpot is to look whether a stage is in use, and it is."""
        default = request.path_params.get("version", "") >= _CHECKS_SINCE
        asked = [request.query_params[name].lower() == "true" for name in _CHECKS if name in request.query_params]
        if not (any(asked) if asked else default):
            return
        records, (_, place) = self._objects.store.records[kind], PLACES[kind]
        used = {records.get(record).properties.get(place) for record in records.live} & set(stages)
        if used:
            message = f"The stages {sorted(filter(None, used))} cannot be deleted because they are in use"
            raise invalid(message, subCategory="PipelineError.STAGE_ID_IN_USE", context={"stageIds": sorted(filter(None, used))})

    def _changed(self, kind: str, new: Pipeline, at: str) -> Response:
        self._known.put(kind, new)
        self._note(new.id, "UPDATE", at)
        return answer(_pipeline(new))

    def _put_stage(self, kind: str, owner: Pipeline, stage: Stage, action: str, at: str) -> Response:
        if any(other.label.lower() == stage.label.lower() and other.id != stage.id for other in owner.stages.values()):
            raise Refused(409, f"A stage with the label '{stage.label}' already exists.", "CONFLICT")
        self._known.put(kind, replace(owner, stages={**owner.stages, stage.id: stage}, updated=at))
        self._note(stage.id, action, at)
        return answer(_stage(stage), 201 if action == "CREATE" else 200)

    def _note(self, identifier: str, action: str, at: str) -> None:
        entry = {"portalId": self._options.portal_id, "identifier": identifier, "action": action, "timestamp": at}
        self._known.audits.setdefault(identifier, []).insert(0, entry)

    def _audits(self, identifier: str) -> Response:
        return answer({"results": self._known.audits.get(identifier, [])})


def _now() -> str:
    return timestamp(clock.now())


def _order(body: Body, default: int) -> int:
    return whole(body.get("displayOrder", default), "displayOrder")


def _texts(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or any(isinstance(value, dict | list) for value in metadata.values()):
        raise bad_input("metadata must be an object of strings")
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in metadata.items()}


def _metadata(kind: str, given: dict[str, str]) -> dict[str, str]:
    """A stage's metadata with what follows from it. A deal's stage has a chance of 0 to 1, and is closed at either end."""
    if kind != "deals":
        closed = {"isClosed": "true" if given["ticketState"] == "CLOSED" else "false"} if "ticketState" in given else {}
        return {**given, **closed}
    try:
        chance = float(given["probability"])
    except (KeyError, ValueError):
        raise invalid("The metadata of a deal's stage must have a probability from 0.0 to 1.0") from None
    if not 0 <= chance <= 1:
        raise invalid(f"The probability {given['probability']} is not from 0.0 to 1.0")
    return {**given, "probability": str(chance), "isClosed": "true" if chance in (0, 1) else "false"}


def _refuse_archived(body: Body, was_archived: bool) -> None:
    if "archived" in body and not (body["archived"] is False and was_archived):
        raise invalid("archived can only be set to bring back an archived pipeline")


def _pipeline(pipeline: Pipeline) -> Body:
    return {
        "label": pipeline.label, "displayOrder": pipeline.order, "id": pipeline.id, "stages": [_stage(s) for s in pipeline.in_order()],
        "createdAt": pipeline.created, "updatedAt": pipeline.updated, "archived": pipeline.archived,
    }  # fmt: skip


def _stage(stage: Stage) -> Body:
    return {
        "label": stage.label, "displayOrder": stage.order, "metadata": dict(stage.metadata), "id": stage.id, "createdAt": stage.created,
        "updatedAt": stage.updated, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT", "archived": False,
    }  # fmt: skip
