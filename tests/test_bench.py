"""What the benchmarks print is what was read."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def printed(*options: str) -> list[list[str]]:
    command = [sys.executable, "-m", "cdp_pipelines.bench", "--crm", "hubspot", "--records", "600", *options]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    return [line.split() for line in lines if line.startswith("hubspot")]


def test_answers_that_were_kept_are_read_to_the_same_rows_with_the_same_calls() -> None:
    whole, incremental = printed("--changed", "6")
    (replayed,) = printed("--latency", "20")
    assert whole[1:4] == replayed[1:4]
    assert incremental[1] == "incremental"
    assert float(replayed[4]) > 0.02 * int(replayed[3]) / 8
