"""Checks 16: amounts, currencies, stages and closing dates of opportunities that can be."""

from __future__ import annotations

from functools import cache

from babel.core import get_global

from cdp_pipelines.quality.check import Check

MOST = 1_000_000_000_000
SOONEST_YEAR, LATEST_YEARS = 1990, 20
_WARNS = "Warns: the deal is as the CRM has it, and sums can be read without it; nothing here was lost on the way."
_KEY = "select connection || ':' || id as key, 1 as rows from standardized.opportunities where not is_deleted and "


@cache
def checks() -> tuple[Check, ...]:
    """One check for each rule of opportunities."""
    currencies = ", ".join(sorted(f"'{code}'" for code in get_global("all_currencies")))
    return (
        _check("amounts_plausible", f"No opportunity has a negative value, or one of more than {MOST:,}.",
               "Correct the amount in the CRM; a refund is no opportunity, and a decimal mark may have been lost.", f"not value between 0 and {MOST}"),
        _check("currencies_known", "Every currency of an opportunity is a code of ISO 4217.",
               "Correct the currency in the CRM, or the mapping of `currency`: values by currency do not add up otherwise.",
               f"currency not in ({currencies})"),
        _check("stages_hang_together",
               "Every opportunity that is won is closed, has a stage, and its chance is 1; of one that is closed and not won it is 0.",
               "See the stages of the pipeline in the CRM: one is marked as won or closed in one place and not in the other.",
               "((is_won and not is_closed) or ((is_closed or is_won) and stage is null) or (is_won and probability < 1) "
               "or (is_closed and not is_won and probability > 0))"),
        _check("close_dates_plausible",
               f"Every closed opportunity has a closing date, not after tomorrow; none is before {SOONEST_YEAR} or more than {LATEST_YEARS} years ahead.",
               "Correct the closing date in the CRM: of a closed deal it is when it was closed.",
               f"((is_closed and (close_date is null or close_date > current_date + 1)) or year(close_date) < {SOONEST_YEAR} "
               f"or close_date > current_date + interval {LATEST_YEARS} year)"),
    )  # fmt: skip


def _check(name: str, description: str, remedy: str, wrong: str) -> Check:
    return Check(name, "opportunities", False, description, remedy, _KEY + wrong, 16, _WARNS)
