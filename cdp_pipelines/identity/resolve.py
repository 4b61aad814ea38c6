"""Who is who: contacts in, people out, with the evidence for and against."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from cdp_pipelines import database
from cdp_pipelines.identity import answer, candidates, civil, judging, merging, overrides, particulars
from cdp_pipelines.identity.answer import Resolution
from cdp_pipelines.identity.judging import Judged
from cdp_pipelines.identity.merging import Links
from cdp_pipelines.identity.options import Options


def resolve(
    contacts: pa.Table, *, previous: pa.Table | None = None, overrides: pa.Table | None = None, options: Options | None = None
) -> Resolution:
    """The people that the contacts are records of.

    `contacts` has the columns of `standardized.contacts`; any but connection and customer_id may be null or absent. `date_of_birth`,
    `national_id`, `street`, `postcode`, `city` and `state` are evidence where there are any.

    `previous` is an earlier answer's `customer_contacts` (connection, customer_id, customer_key and, if it is there, first_key): keys are
    carried on from it. `overrides` are decisions of people (kind `merge` or `split`, left_connection, left_customer_id, right_connection,
    right_customer_id, and, if they are there, who, why, decided_at).

    The answer depends neither on the order of rows nor on records that share nothing with each other. Raises BadContacts, BadOverrides.
    """
    options = options or Options()
    found = particulars.read(contacts, options)
    del contacts
    decisions = _decisions(found, overrides)
    civil_data = civil.read(found)
    with database.scratch(options.put_aside) as db:
        pairs = candidates.find(db, found, civil_data)
        found.forget_values()
        moved = db.execute("select distinct a from said where how <> 'crm_reference'").to_arrow_table().column("a").to_pylist()
        judged = judging.judge(pairs, found, civil_data, twins=options.twins)
        del pairs
        links = Links.of(decisions.links()).and_also(_links(judged))
        merged = merging.merge(found, links, splits=decisions.splits(), moved=frozenset(moved))
        return answer.tables(db, found, judged, merged, decisions, previous)


def _decisions(found: particulars.Particulars, given: pa.Table | None) -> overrides.Decisions:
    if given is None or not given.num_rows or not set(overrides.COLUMNS[:5]) <= set(given.column_names):
        return overrides.read(given, {})
    named = (str(one) for side in ("left", "right") for one in given.column(f"{side}_customer_id").to_pylist())
    return overrides.read(given, found.numbers(named))


def _links(judged: Judged) -> Links:
    chosen = np.flatnonzero(judged.priority < judging.NO_RULE)
    unlikeness = (judging.Agreement.SAME - judged.names[chosen]).astype(np.int8)
    return Links(judged.priority[chosen], unlikeness, judged.a[chosen], judged.b[chosen])
