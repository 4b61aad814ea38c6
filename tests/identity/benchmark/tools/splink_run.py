"""Splink with the settings that its documentation uses for persons: clusters at several thresholds, for the caller to choose from.

Runs in an environment of its own: `python splink_run.py records.parquet labels.parquet crm|febrl`.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

THRESHOLDS = (0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)


def settings(kind: str) -> tuple[SettingsCreator, list[object], list[object]]:
    """The model, rules that surely match, and what to hold fixed while learning."""
    names = cl.ForenameSurnameComparison("first_name", "last_name", forename_surname_concat_col_name="full_name")
    if kind == "febrl":
        comparisons = [
            names, cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
            cl.DamerauLevenshteinAtThresholds("national_id", [2]), cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postcode", [2]).configure(term_frequency_adjustments=True),
        ]  # fmt: skip
        sure = [block_on("national_id"), *(block_on("first_name", "last_name", third) for third in ("date_of_birth", "postcode"))]
        rules = [block_on(c) for c in ("national_id", "first_name", "last_name", "date_of_birth", "postcode")]
        learn = [block_on("date_of_birth"), block_on("postcode")]
    else:
        comparisons = [
            names, cl.EmailComparison("email"), cl.LevenshteinAtThresholds("phone", [1]), cl.LevenshteinAtThresholds("mobile_phone", [1]),
            cl.JaroWinklerAtThresholds("company", [0.9]), cl.ExactMatch("city").configure(term_frequency_adjustments=True), cl.ExactMatch("crm_link"),
        ]  # fmt: skip
        sure = [block_on("crm_link"), block_on("first_name", "last_name", "email")]
        rules = [block_on(*c) for c in (("crm_link",), ("email",), ("phone",), ("mobile_phone",), ("first_name", "last_name"))]
        learn = [block_on("email"), block_on("first_name", "last_name")]
    chosen = SettingsCreator(
        link_type="dedupe_only", unique_id_column_name="row", comparisons=comparisons, blocking_rules_to_generate_predictions=rules
    )
    return chosen, sure, learn


def main(records: str, labels: str, kind: str) -> None:
    """Learn, predict, cluster."""
    rows = pq.read_table(records)
    api = DuckDBAPI()
    api.duckdb_con.register("given", rows)
    people = api.duckdb_con.execute("select *, nullif(concat_ws(' ', first_name, last_name), '') as full_name from given").to_arrow_table()
    chosen, sure, learn = settings(kind)
    linker = Linker(api.register(people), chosen, log_level=None)
    linker.training.estimate_probability_two_random_records_match(sure, recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6)
    for rule in learn:
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    pairs = linker.inference.predict(threshold_match_probability=THRESHOLDS[0])
    columns = {"row": rows["row"]}
    for threshold in THRESHOLDS:
        found = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=threshold)
        cluster_of = dict(api.duckdb_con.execute(f'select "row", cluster_id from {found.physical_name}').fetchall())
        columns[f"threshold {threshold}"] = pa.array([cluster_of[row] for row in rows["row"].to_pylist()])
    pq.write_table(pa.table(columns), labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
