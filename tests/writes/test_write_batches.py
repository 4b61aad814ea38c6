from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_pipelines.crm_integrations.base_crm import AuthenticationError, CRMError, OutcomeUnknown, RequestRejected
from cdp_pipelines.crm_integrations.write_batches import Limits, write_in_batches
from cdp_pipelines.crm_integrations.writes import RecordWrite, WriteResult
from tests.sources.known_failures import known_failure


def updates(n: int, **fields: str) -> list[RecordWrite]:
    return [RecordWrite(f"k{i}", "contacts", "update", str(i), {"name": f"N{i}", **fields}) for i in range(n)]


class Calls:
    """A CRM that refuses a batch with one of the bad rows, and remembers how many rows each call had."""

    def __init__(self, bad: Collection[str] = (), error: Callable[[list[RecordWrite]], CRMError | None] | None = None):
        self.bad, self.error, self.sizes, self.seen = set(bad), error, list[int](), list[str]()

    async def __call__(self, batch: list[RecordWrite]) -> Sequence[WriteResult]:
        self.sizes.append(len(batch))
        self.seen += [write.key for write in batch]
        if self.error and (error := self.error(batch)):
            raise error
        if self.bad & {write.key for write in batch}:
            raise RequestRejected("crm", "a value is wrong", code="BAD")
        return [WriteResult(write.key, "updated", write.id) for write in batch]


def written(writes: Sequence[RecordWrite], calls: Calls, limits: Limits) -> list[WriteResult]:
    told: list[WriteResult] = []

    async def tell(result: WriteResult) -> None:
        told.append(result)

    results = asyncio.run(write_in_batches(writes, calls, limits, same=lambda write: write.id, on_result=tell))
    assert [r.key for r in results] == [w.key for w in writes]
    assert sorted(r.key for r in told) == sorted(r.key for r in results)
    return results


@pytest.mark.parametrize("bad", [{"k0"}, {"k99"}, {"k50"}, {"k3", "k4"}, {"k0", "k33", "k66", "k99"}, {f"k{n}" for n in range(100)}])
def test_bad_rows_are_found_and_all_others_are_written_once(bad: set[str]) -> None:
    calls = Calls(bad)
    results = written(updates(100), calls, Limits(100, 1, divisible=frozenset({"BAD"})))
    assert {r.key for r in results if r.outcome == "rejected"} == bad
    assert len(calls.sizes) <= 1 + 2 * 7 * len(bad)


def test_a_call_that_would_be_refused_for_any_row_is_not_halved() -> None:
    calls = Calls(error=lambda batch: RequestRejected("crm", "no such object", code="NO_OBJECT"))
    results = written(updates(250), calls, Limits(100, 1, divisible=frozenset({"BAD"})))
    assert {(r.outcome, r.code) for r in results} == {("rejected", "NO_OBJECT")}
    assert calls.sizes == [100, 100, 50]


def test_a_value_that_was_refused_once_is_not_sent_again() -> None:
    def refuse(batch: list[RecordWrite]) -> CRMError | None:
        wrong = [w for w in batch if w.fields.get("stage") == "Nonsense"]
        return RequestRejected("crm", "a value is wrong", code="BAD", faults={"stage": "INVALID_OPTION"}) if wrong else None

    calls = Calls(error=refuse)
    writes = [RecordWrite(f"k{n}", "contacts", "update", str(n), {"stage": "Nonsense" if n % 3 else f"S{n}"}) for n in range(1000)]
    results = written(writes, calls, Limits(100, 1, divisible=frozenset({"BAD"})))
    assert [r.outcome for r in results] == ["rejected" if n % 3 else "updated" for n in range(1000)]
    assert {r.code for r in results if r.outcome == "rejected"} == {"INVALID_OPTION"}
    assert len(calls.sizes) <= 10 + 2 * 8


@known_failure("grouparoo/grouparoo#655")
def test_batches_are_full_and_in_order() -> None:
    calls = Calls()
    written(updates(1001), calls, Limits(100, 4))
    assert sorted(calls.sizes) == [1, *[100] * 10]
    calls = Calls()
    written(updates(250), calls, Limits(100, 1))
    assert calls.seen == [f"k{n}" for n in range(250)]


def test_creates_and_updates_are_never_in_one_batch() -> None:
    calls = Calls()
    new = [RecordWrite(f"n{i}", "contacts", "create", None, {"name": "N"}) for i in range(3)]
    written([w for pair in zip(new, updates(3), strict=True) for w in pair], calls, Limits(100, 1))
    assert calls.sizes == [3, 3]


def test_a_batch_has_no_more_bytes_than_allowed() -> None:
    calls = Calls()
    written(updates(10), calls, Limits(100, 1, bytes=30, weigh=lambda write: 10))
    assert calls.sizes == [3, 3, 3, 1]
    calls = Calls()
    written(updates(2), calls, Limits(100, 1, bytes=5, weigh=lambda write: 10))
    assert calls.sizes == [1, 1]  # too much by itself, which is for the CRM to say


def test_credentials_that_are_no_longer_accepted_stop_the_rest() -> None:
    calls = Calls(error=lambda batch: AuthenticationError("crm", "no token", "Set it.") if "k10" in {w.key for w in batch} else None)
    results = written(updates(50), calls, Limits(10, 1))
    assert [r.outcome for r in results] == ["updated"] * 10 + ["rejected"] * 40
    assert {(r.code, r.reason, r.retryable) for r in results[10:]} == {("AUTHENTICATION", "no token Set it.", True)}
    assert len(calls.sizes) == 2


def test_one_lost_answer_does_not_stop_the_rest() -> None:
    calls = Calls(error=lambda batch: OutcomeUnknown("crm", "gone") if batch[0].key in ("k10", "k30") else None)
    results = written(updates(60), calls, Limits(10, 1))
    assert [r.outcome for r in results[::10]] == ["updated", "unknown", "updated", "unknown", "updated", "updated"]


def test_rows_that_may_pass_are_tried_again_until_the_tries_are_used_up() -> None:
    left = {"k1": 1, "k2": 9}
    sizes: list[int] = []

    async def send(batch: list[RecordWrite]) -> Sequence[WriteResult]:
        sizes.append(len(batch))
        locked = {w.key for w in batch if left.get(w.key, 0) > 0}
        for key in locked:
            left[key] -= 1
        return [
            WriteResult(w.key, "rejected", w.id, "LOCK", "locked", True) if w.key in locked else WriteResult(w.key, "updated", w.id)
            for w in batch
        ]

    limits = Limits(10, 2, tries=3, passing=frozenset({"LOCK"}), first_pause_seconds=0.001)
    results = asyncio.run(write_in_batches(updates(5), send, limits, same=lambda write: write.id))
    assert [r.outcome for r in results] == ["updated", "updated", "rejected", "updated", "updated"]
    assert sizes == [5, 2, 1]


def test_values_are_not_repeated_in_reasons() -> None:
    def refuse(batch: list[RecordWrite]) -> CRMError:
        return RequestRejected("crm", "The value Erika MUSTERMANN of erika@writes.example.com is wrong.")

    [result] = written(updates(1, surname="Mustermann"), Calls(error=refuse), Limits(1, 1))
    assert result.reason == "The value Erika … of … is wrong."


def test_what_the_listener_raises_ends_the_writing() -> None:
    async def full(result: WriteResult) -> None:
        raise OSError("disk full")

    calls = Calls()
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(write_in_batches(updates(100), calls, Limits(10, 1), same=lambda write: write.id, on_result=full))
    assert calls.sizes == [10]


FATES = ("good", "bad value", "locked once", "locked for ever", "lost")


@settings(max_examples=60, deadline=None)
@given(
    fates=st.lists(st.sampled_from(FATES), max_size=60),
    actions=st.lists(st.sampled_from(("create", "update")), min_size=60, max_size=60),
    size=st.integers(1, 12),
    at_once=st.integers(1, 4),
    shared=st.integers(1, 60),
)
def test_whatever_happens_every_write_has_one_result_that_is_true(
    fates: list[str], actions: list[str], size: int, at_once: int, shared: int
) -> None:
    """A CRM where each row has its fate: what was done to it is what its result says, and a create is done at most once."""
    done: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    fate = {f"k{n}": f for n, f in enumerate(fates)}

    async def send(batch: list[RecordWrite]) -> Sequence[WriteResult]:
        await asyncio.sleep(0)
        sent.update(write.key for write in batch)
        assert len({write.action for write in batch}) == 1 and len(batch) <= size
        assert len({write.id for write in batch if write.id}) == len([write for write in batch if write.id])
        if any(fate[w.key] == "bad value" for w in batch):
            raise RequestRejected("crm", "a value is wrong", code="BAD")
        lost = any(fate[write.key] == "lost" for write in batch)
        results = []
        for w in batch:
            locked = not lost and (fate[w.key] == "locked for ever" or (fate[w.key] == "locked once" and sent[w.key] == 1))
            if not locked:
                done[w.key] += 1
            results.append(WriteResult(w.key, "rejected", w.id, "LOCK") if locked else WriteResult(w.key, "updated", w.id))
        if lost:
            raise OutcomeUnknown("crm", "no answer")
        return results

    writes = [
        RecordWrite(f"k{n}", "contacts", "create", None, {"n": n})
        if actions[n] == "create"
        else RecordWrite(f"k{n}", "contacts", "update", str(n % shared), {"n": n})
        for n in range(len(fates))
    ]
    limits = Limits(size, at_once, tries=3, passing=frozenset({"LOCK"}), divisible=frozenset({"BAD"}), first_pause_seconds=0)
    told: list[WriteResult] = []

    async def tell(result: WriteResult) -> None:
        told.append(result)

    results = asyncio.run(write_in_batches(writes, send, limits, same=lambda write: write.id, on_result=tell))
    assert [r.key for r in results] == [w.key for w in writes]
    assert Counter(told) == Counter(results)
    for write, result in zip(writes, results, strict=True):
        assert done[write.key] <= 1
        match result.outcome:
            case "updated":
                assert done[write.key] == 1
            case "rejected":
                assert done[write.key] == 0
            case _:
                assert result.outcome == "unknown" and result.retryable == (write.action == "update")
    if "lost" not in fates:
        wanted = {"good": "updated", "locked once": "updated", "locked for ever": "rejected", "bad value": "rejected"}
        assert [r.outcome for r in results] == [wanted[f] for f in fates]
