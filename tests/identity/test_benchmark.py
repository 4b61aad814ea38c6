"""What the resolver must reach on records with a known truth, and that the benchmark measures what it says."""

from __future__ import annotations

import pytest

from cdp_pipelines.identity import Options, resolve
from tests.identity.benchmark import datasets, environment, sandbox
from tests.identity.benchmark.crm_dirt import dirty
from tests.identity.benchmark.scoring import Score, score
from tests.identity.benchmark.tools.ours import FEBRL, adapted
from tests.identity.records import keys

PRECISION, F1 = 0.99, 0.96


def scored(records, truth, options: Options | None = None) -> Score:
    found = keys(resolve(records, options=options).customer_contacts)
    order = zip(truth["connection"].to_pylist(), truth["customer_id"].to_pylist(), strict=True)
    return score([found[f"{connection}:{customer_id}"] for connection, customer_id in order], truth["person"].to_pylist())


def reaches(reached: Score) -> bool:
    return reached.precision >= PRECISION and reached.f1 >= F1 and reached.largest <= reached.true_largest + 1


@pytest.mark.parametrize("seed", [11, 12])
def test_the_dirt_of_three_crms(seed: int) -> None:
    reached = scored(*dirty(700, seed))
    assert reaches(reached), reached


@pytest.mark.slow
def test_the_dirt_of_three_larger_crms() -> None:
    reached = scored(*dirty(12_000, seed=13))
    assert reaches(reached), reached


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 5])
def test_the_sandbox_as_the_pipeline_standardizes_it(seed: int) -> None:
    reached = scored(*sandbox.contacts(3_000, seed))
    assert reaches(reached), reached


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("febrl3", 0.997), ("febrl4", 0.998)])
def test_the_public_sets(name: str, least: float) -> None:
    if not (environment.FOLDER / ".installed").exists():
        pytest.skip("FEBRL comes with another tool: `make bench-identity` fetches it")
    import pyarrow.parquet as pq

    data = datasets.dataset(name)
    reached = scored(adapted(pq.read_table(data.records)), pq.read_table(data.truth), FEBRL)
    assert reached.f1 >= least, reached


def test_pairs_are_counted() -> None:
    # Found {0 1 2} {3}, true {0 1} {2 3}: of three pairs found one is right, of two true ones one is found.
    reached = score(["a", "a", "a", "b"], [1, 1, 2, 2])
    assert (reached.precision, reached.recall, reached.largest, reached.true_largest) == (1 / 3, 1 / 2, 3, 2)
    assert reached.f1 == pytest.approx(0.4)
    assert score(["x", "y"], ["p", "q"]) == Score(1.0, 1.0, 0.0, 1, 1)


def test_the_generator_is_the_same_for_the_same_seed_and_dirty() -> None:
    one, again, other = dirty(300, 1), dirty(300, 1), dirty(300, 2)
    assert one[0].equals(again[0])
    assert one[1].equals(again[1])
    assert not one[0].equals(other[0])
    rows, kinds = one[0].num_rows, " ".join(one[1]["dirt"].to_pylist())
    switchboards = sum("switchboard" in dirt for dirt in one[1]["dirt"].to_pylist()) / rows
    assert 0.25 < switchboards < 0.35
    for kind in ("placeholder mail", "shared mailbox", "made-up phone", "old job", "nickname", "names changed over", "mailbox dots", "tag"):
        assert kind in kinds
    assert len(set(one[1]["person"].to_pylist())) == 300
