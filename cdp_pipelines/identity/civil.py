"""Civil data, where contacts have any: date of birth, a national number, street and town. Weighed together, since each may have a slip.

The weights are rough logarithms of how much likelier an agreement is for one person than for two (the idea is Fellegi's and Sunter's, 1969),
fixed and not estimated, so that the answer for two records does not depend on which others there are.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import duckdb
import numpy as np
import pyarrow as pa
from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from cdp_pipelines.identity.blanks import filled
from cdp_pipelines.identity.names import Agreement
from cdp_pipelines.identity.particulars import Ints, Particulars

COLUMNS = ("national_id", "date_of_birth", "street", "postcode", "city", "state")
# Two records are looked at only where one of these is given: a town alone says little.
PERSONAL = COLUMNS[:3]
ENOUGH = 2.0
_NEVER = -50.0
ALIKE = 80
_NAMES = {
    Agreement.SAME: 7.0, Agreement.CLOSE: 6.0, Agreement.PARTIAL: 3.0, Agreement.HALF: 2.5, Agreement.UNKNOWN: 0.0, Agreement.SURNAME: -1.0,
    Agreement.CONFLICT: -4.0, Agreement.GENERATION: _NEVER,
}  # fmt: skip
# Larger blocks (a postcode with a frequent name) find nobody that the smaller ones do not.
_BLOCK = 60

_BLOCKS = """
select national_id as block, record from civil where national_id is not null
union all select 'b' || c.date_of_birth || w.word, c.record from civil as c join name_words as w using (record) where c.date_of_birth is not null
union all select 'd' || date_of_birth || postcode, record from civil where date_of_birth is not null and postcode is not null
union all select 'e' || date_of_birth || street, record from civil where date_of_birth is not null and street is not null
union all select 'f' || date_of_birth || city, record from civil where date_of_birth is not null and city is not null
union all select 'h' || substring(national_id, 1, length(national_id) // 2), record from civil where length(national_id) > 5
union all select 't' || substring(national_id, length(national_id) // 2 + 1), record from civil where length(national_id) > 5
union all select 'g' || postcode || city, record from civil where postcode is not null and city is not null
union all select 's' || street || coalesce(postcode, city), record from civil where street is not null and coalesce(postcode, city) is not null
union all select 'n' || w.full_name || coalesce(c.state, ''), c.record from civil as c join name_words as w using (record)
union all select 'p' || w.word || c.postcode, c.record from civil as c join name_words as w using (record) where c.postcode is not null
union all select 'c' || w.word || c.city, c.record from civil as c join name_words as w using (record) where c.city is not null
"""
_PAIRS = f"""
with blocks as (select distinct block, record from ({_BLOCKS}) as b),
sized as (select *, count(*) over (partition by block) as size from blocks)
select distinct l.record as a, r.record as b from sized as l join sized as r using (block) where r.record > l.record and l.size <= {_BLOCK}
order by a, b
"""


@dataclass(frozen=True)
class Civil:
    """The civil data of each record, in one spelling; by column, empty where there is none."""

    columns: dict[str, list[str | None]]


def read(found: Particulars) -> Civil | None:
    """The civil data of the contacts; None where there is none that tells people apart."""
    if not any(name in found.contacts.column_names and found.column(name).null_count < len(found) for name in PERSONAL):
        return None
    readers = {"national_id": _digits, "date_of_birth": _digits}
    return Civil({name: [readers.get(name, _words)(text) for text in found.column(name).cast(pa.string()).to_pylist()] for name in COLUMNS})


def pairs(db: duckdb.DuckDBPyConnection, civil: Civil) -> pa.Table:
    """The pairs (a, b) of records worth weighing. `name_words` must be there, see candidates."""
    columns = {name: pa.array([v.replace(" ", "") if v else None for v in values], pa.string()) for name, values in civil.columns.items()}
    db.register("civil", pa.table({"record": pa.array(np.arange(len(columns["street"])), pa.int64()), **columns}))
    return db.execute(_PAIRS).to_arrow_table()


def joins(civil: Civil, a: Ints, b: Ints, names: Ints, *, twins: bool) -> list[bool]:
    """Whether the civil data of each pair, with its names' agreement, is enough for one person. For `twins` see Options."""
    return [
        _weight(civil, one, other, Agreement(level), twins=twins) >= ENOUGH
        for one, other, level in zip(a.tolist(), b.tolist(), names.tolist(), strict=True)
    ]


def _weight(civil: Civil, a: int, b: int, names: Agreement, *, twins: bool) -> float:
    given = {name: (values[a], values[b]) for name, values in civil.columns.items()}
    number = _compared(*given["national_id"], same=10.0, near=7.0, differs=-6.0)
    born = _compared(*given["date_of_birth"], same=6.0, near=4.0, differs=-4.0)
    street = _alike(*given["street"], same=6.0, near=4.0, differs=-2.0)
    # Twins share all but the first name and the number: only the number outweighs another first name.
    if twins and names == Agreement.CONFLICT and number <= 0:
        return _NEVER
    # Of an address a whole family is; of a town, many.
    if number <= 0 and born <= 0 and (street <= 0 or names < Agreement.CLOSE):
        return _NEVER
    return (
        _NAMES[names]
        + number
        + born
        + street
        + _compared(*given["postcode"], same=2.0, near=1.0, differs=-1.0)
        + _alike(*given["city"], same=2.0, near=1.5, differs=-1.0)
        + _alike(*given["state"], same=0.5, near=0.0, differs=-0.5)
    )


def _compared(one: str | None, other: str | None, *, same: float, near: float, differs: float) -> float:
    """Numbers: the same, or one digit wrong, left out, or two of them the wrong way round."""
    if one is None or other is None:
        return 0.0
    if one == other:
        return same
    return near if OSA.distance(one, other, score_cutoff=1) == 1 else differs


def _alike(one: str | None, other: str | None, *, same: float, near: float, differs: float) -> float:
    """Words, in any order, with slips."""
    if one is None or other is None:
        return 0.0
    if one == other:
        return same
    alike = max(fuzz.token_sort_ratio(one, other), fuzz.ratio(one.replace(" ", ""), other.replace(" ", "")))
    return near if alike >= ALIKE else differs


@lru_cache(maxsize=262_144)
def _digits(text: str | None) -> str | None:
    if (text := filled(text)) is None:
        return None
    kept = re.sub(r"[^0-9a-z]", "", text.casefold())
    return kept if len(set(kept)) > 1 else None


@lru_cache(maxsize=262_144)
def _words(text: str | None) -> str | None:
    if (text := filled(text)) is None:
        return None
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)))) or None
