"""Checks 5 and 9: what is far from what it used to be, by a statistic that a few odd runs do not move.

A figure's distance from the median of its earlier values is measured in their median absolute deviation (MAD); beyond 3.5 of the modified z-score,
0.6745 * distance / MAD, it is told (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). Figures that never moved have a MAD
of nothing, so that one more row would be told: each kind of figure has a least MAD. What stays as it is becomes usual by itself, when it
is in half of the runs that are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdp_pipelines.quality.moments import WARM_UP, before, newest

MOST_Z, TO_SIGMA = 3.5, 0.6745


@dataclass(frozen=True)
class Figures:
    """Some figures with a history: `series` are the columns of `table` that tell them apart, `figure` is the one that is compared.

    `least_mad` is SQL over `usual`, the median; `shown` is SQL that says a figure `x` in words, `named` names a series. `where` leaves
    some out. Where `zero_if_gone`, a series that is not there any more counts as 0.
    """

    table: str
    series: tuple[str, ...]
    figure: str
    least_mad: str
    shown: str
    named: str
    where: str = "true"
    zero_if_gone: bool = False


def outliers(figures: Figures) -> str:
    """The SQL of a check: a row for each series whose newest figure is an outlier of its earlier ones."""
    series = ", ".join(figures.series)
    join = "right join" if figures.zero_if_gone else "join"
    figure = "coalesce(figure, 0)" if figures.zero_if_gone else "figure"
    return f"""
        select {figures.named} || ': ' || {_shown(figures.shown, "figure")} || ', usually ' || {_shown(figures.shown, "usual")} as key, 1 as rows
        from (
            select {series}, {figure} as figure, usual, {TO_SIGMA} * abs({figure} - usual) / greatest(mad, {figures.least_mad}) as z
            from (select {series}, any_value({figures.figure}) as figure from {figures.table}
                where measured_at = {newest(figures.table)} and {figures.where} group by all) as newest
            {join} (select {series}, median(figure) as usual, mad(figure) as mad, count(*) as runs
                from (select measured_at, {series}, any_value({figures.figure}) as figure from {figures.table}
                    where measured_at in {before(figures.table)} group by all)
                group by all) as earlier using ({series})
            where runs >= {WARM_UP} and usual is not null
        ) where z > {MOST_Z}"""


def _shown(template: str, figure: str) -> str:
    return template.replace("{x}", figure)


def as_count(name: str = "rows") -> str:
    """SQL that says a number of rows."""
    return "format('{:,} " + name + "', round({x})::bigint)"


def as_share(name: str) -> str:
    """SQL that says a share in percent."""
    return "format('{:.1f} % " + name + "', 100 * ({x})::double)"
