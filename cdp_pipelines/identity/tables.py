"""The tables that the identity step writes, and what their columns mean."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = "unified"

_PAIR = {
    "left_connection": "Connection of one record.",
    "left_customer_id": "Its id in its CRM.",
    "right_connection": "Connection of the other record.",
    "right_customer_id": "Its id in its CRM.",
}


@dataclass(frozen=True)
class Table:
    """A table with its columns, each with what it means."""

    description: str
    columns: dict[str, str]


TABLES = {
    "customer_contacts": Table(
        "One row for each contact record, deleted and merged ones too, with the customer it belongs to, and why.",
        {
            "connection": "Connection of the record.",
            "source_system": "Kind of its CRM.",
            "record_type": "Contact or lead.",
            "customer_id": "The record's id in its CRM.",
            "customer_key": "The customer.",
            "rule": "The surest rule that joins the record to another one of the customer; `alone` where there is no other.",
            "priority": "The rule's place in the order in which rules are followed, the surest first.",
            "why": "The rule in a sentence that begins with the record.",
            "is_current": "Whether the record may say something about the customer: not deleted, merged or converted.",
            "first_key": "The key of the customer to which the record belonged first.",
        },
    ),
    "customer_aliases": Table(
        "Where a customer key went: one row for each key that was merged or is gone, and for each that lost records.",
        {
            "old_key": "The key.",
            "new_key": "The customer who has its records now, or some of them. Null when they are gone.",
            "reason": "`merged`: the customer is another one's part. `split`: some of its records are another customer. `gone`: no record is left.",
            "happened_at": "The run that found it, UTC.",
            "is_current": "Whether it still holds; false when the key, taken apart again or come back, is a customer's as before.",
        },
    ),
    "identity_edges": Table(
        "One row for each two records of one customer and the rule by which they are.",
        {
            **_PAIR,
            "rule": "The rule.",
            "priority": "Its place in the order in which rules are followed.",
            "value_hash": "SHA-256 of what both hold, shortened: equal for equal values.",
            "is_decisive": "Whether it made the customer; others only confirm it. Decisive ones lead from each record to each other on one path.",
        },
    ),
    "identity_vetoes": Table(
        "One row for each two records that a rule would have made one customer, and a veto kept apart.",
        {
            **_PAIR,
            "rule": "The veto: names_contradict, generations_differ, mailboxes_of_one_company or override.",
            "evidence": "The rule that would have joined them.",
            "between_left_connection": "Connection of the record of the one side that contradicts.",
            "between_left_customer_id": "Its id.",
            "between_right_connection": "Connection of the record of the other side that it contradicts.",
            "between_right_customer_id": "Its id.",
        },
    ),
    "identity_review": Table(
        "One row for each two customers who may be one: look at the pair, then `cdp customers merge` or `split`.",
        {
            **_PAIR,
            "reason": "The veto that keeps them apart, or `not_enough`.",
            "evidence": "What speaks for one customer.",
            "left_customer_key": "Customer of the one record.",
            "right_customer_key": "Customer of the other.",
        },
    ),
    "identity_overrides": Table(
        "One row for each decision of a person about two records, and what became of it in the last run.",
        {
            "kind": "`merge`: one person; `split`: two.",
            **_PAIR,
            "who": "Who decided.",
            "why": "Why, in their words.",
            "decided_at": "When, UTC.",
            "outcome": "honoured; against_evidence: honoured though the evidence says otherwise; refused: another decision stands in its way; "
            "superseded: a newer decision is about the same two; record_missing.",
            "evidence": "The veto or the rule that says otherwise.",
        },
    ),
}
