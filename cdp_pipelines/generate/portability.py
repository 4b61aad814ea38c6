"""Refuse SQL in models, tests and macros that another engine reads differently, or not at all.

python -m cdp_pipelines.generate.portability   exit 1, and say where and what to write instead

What engines say in their own ways is in macros/portable.sql, one macro for each need (docs/decisions/0018-engine-differences-in-one-macro-file.md).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from cdp_pipelines.config import PROJECT_DIR

DBT = PROJECT_DIR / "dbt_project"
# The one file that may, and the tables of characters for it, which are no SQL.
EXEMPT = ("macros/portable.sql", "macros/characters.sql")


@dataclass(frozen=True)
class Rule:
    """SQL that is not to be: what it looks like, and what there is instead. `in_jinja`: whether it is looked for within Jinja's brackets too."""

    pattern: str
    instead: str
    in_jinja: bool = True


RULES = {
    "qualify": Rule(r"\bqualify\b", "a subquery and its row_number"),
    "::": Rule(r"::", "cast(... as ...)"),
    "quoted identifier": Rule(r'["`]', "a plain name in small letters", in_jinja=False),
    "backslash": Rule(r"\\", "[0-9] and the like: some engines take it out of a text", in_jinja=False),
    "doubled quote": Rule(
        r"\A(?:[^']|'(?:[^']|'')*')*?'[^']*''(?:[^']|'')*'(?!')", "chr(39): Spark reads two texts, BigQuery none", in_jinja=False
    ),
    "regular expression": Rule(
        r"\b(?:regexp_?\w*|rlike|similar\s+to)\b(?!\s*~)|(?<![=!<>])\s!?~\*?\s(?=')", "a macro of portable.sql", in_jinja=False
    ),
    "regular expression function": Rule(r"\bregexp_\w+\s*\(", "a macro of portable.sql"),
    "ilike": Rule(r"\bilike\b", "lower_case() and like"),
    "string_agg": Rule(r"\b(?:string_agg|listagg|group_concat|array_agg|collect_list|collect_set|array_join)\b", "joined_texts()"),
    "exclude": Rule(r"\bexclude\b|\bexcept\s*\(", "the columns by name"),
    "select *": Rule(r"\bselect\s+(?:distinct\s+)?\*", "the columns by name"),
    "alias.*": Rule(r"\w\.\*", "the columns by name"),
    "by name": Rule(r"\bby\s+name\b", "the columns in their order"),
    "plain union": Rule(r"\bunion\b(?!\s+all\b)", "select distinct over union all: BigQuery wants a word, Redshift none"),
    "recursive": Rule(r"\brecursive\b", "joins a fixed number of steps deep, see follow_moves() and linked.sql"),
    "distinct on": Rule(r"\bdistinct\s+on\b", "a subquery and its row_number"),
    "group by all": Rule(r"\b(?:group|order)\s+by\s+(?:all\b|\d)", "the columns by name"),
    "cast to timestamp": Rule(
        r"\bas\s+(?:timestamp\w*|datetime)\s*(?:\(\d\))?\s*\)", "to_timestamp_utc(): a plain cast loses offsets on some engines"
    ),
    "try_cast": Rule(r"\b(?:try_cast|safe_cast|try_to_\w+)\b", "to_decimal(), to_timestamp_utc() and the like"),
    "zone": Rule(r"\bat\s+time\s+zone\b|\b(?:convert_timezone|from_utc_timestamp)\b", "to_timestamp_utc()"),
    "date arithmetic": Rule(
        r"\binterval\s+'|(?<!dbt\.)\b(?:dateadd|datediff|date_add|date_sub|date_diff|date_trunc|date_part|strftime|strptime|to_char|extract)\s*\(",
        "days_apart(), days_later()",
    ),
    "value at the greatest": Rule(r"\b(?:arg_max|arg_min|max_by|min_by)\b", "a subquery and its row_number"),
    "function of DuckDB": Rule(
        r"\b(?:epoch\w*|list_\w+|struct_\w+|array_\w+|map_\w+|strip_accents|unnest|range|generate_series|hash|len|mode|any_value|first|last|printf|format"
        r"|make_\w+|to_timestamp|bool_and|bool_or|count_if)\s*\(",
        "a macro of portable.sql",
        in_jinja=False,
    ),
    "function of another engine": Rule(
        r"\b(?:lateral|explode|flatten|timestamp_millis|iff|ifnull|nvl|decode|isnull)\s*\(", "a macro, coalesce or case"
    ),
    "null in functions": Rule(r"\bignore\s+nulls\b|\bconcat\w*\s*\(", "|| over what is never null"),
    "lower": Rule(r"\b(?:lower|upper|initcap)\s*\(", "lower_case(): not every engine knows every letter"),
    "trim": Rule(r"\b[lrb]?trim\s*\(", "clean_text(), trimmed(): not every engine knows every blank"),
    "split_part": Rule(r"\b(?:split_part|split|string_split)\s*\(", "part_of_text()"),
    "rest of a text": Rule(r"\bsubstr(?:ing)?\s*\([^(),]+,[^(),]+\)", "text_from()"),
    "decimal": Rule(r"\bas\s+(?:decimal|numeric)\s*\(\s*38", "decimal_type()"),
    "frame": Rule(
        r"\b(?:first_value|last_value|nth_value)\s*\([^()]*\)\s*over\s*\((?![^()]*\brows\b)",
        "rows between ..., without which Redshift refuses it",
    ),
    "three-part name": Rule(r"\b(?:from|join)\s+\w+\.\w+\.\w+", "ref() and source(): Spark has no third part"),
    "reserved word": Rule(
        r"\bas\s+(?:at|no|user|identity|raw|tag|open|old|new|lookup|hash|to|rows|range|set|groups|percent|top|row|sample|start|before)\b(?!\s*\()",
        "another name: an engine keeps it for itself",
    ),
}
"""What is looked for, by a name for it. Seen by running and compiling the models on the engines named in the decision."""


def found(text: str) -> list[str]:
    """The names of the rules that a file's text breaks."""
    text = re.sub(r"{#.*?#}", " ", text, flags=re.DOTALL)
    text = re.sub(r"(?m)--(?![%}]).*$", "", text)
    jinja = "\n".join(re.findall(r"{[{%].*?[%}]}", text, flags=re.DOTALL))
    sql = re.sub(r"{[{%].*?[%}]}", " ", text, flags=re.DOTALL)
    return [
        name
        for name, rule in RULES.items()
        if re.search(rule.pattern, sql, re.IGNORECASE) or (rule.in_jinja and re.search(rule.pattern, jinja, re.IGNORECASE))
    ]


def files(project: Path = DBT) -> list[Path]:
    """The models, tests and macros that have to be portable."""
    every = (path for folder in ("models", "macros", "tests") for path in (project / folder).rglob("*.sql"))
    return sorted(path for path in every if path.relative_to(project).as_posix() not in EXEMPT)


def problems(project: Path = DBT) -> list[str]:
    """One line for each file and rule that it breaks."""
    return [
        f"{path.relative_to(project).as_posix()}: {name}; write {RULES[name].instead}"
        for path in files(project)
        for name in found(path.read_text(encoding="utf-8"))
    ]


if __name__ == "__main__":
    print("\n".join(broken := problems()), end="\n" if broken else "")
    sys.exit(1 if broken else 0)
