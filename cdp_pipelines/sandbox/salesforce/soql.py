"""Reads SOQL: text to a query, or the error body that Salesforce gives. Names are checked against the org's objects later, in `query`.

Covers field lists with parent paths, one level of child subqueries, COUNT(), COUNT/MIN/MAX of a field with an alias, FIELDS(...), WHERE with
AND, OR, NOT and parentheses, ORDER BY, LIMIT and OFFSET. GROUP BY, HAVING and TYPEOF are refused as unexpected tokens.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from cdp_pipelines.sandbox.salesforce.soql_query import (
    Comparison,
    Condition,
    Junction,
    Literal,
    Not,
    Ordering,
    Path,
    Query,
    Selected,
    SoqlError,
    Token,
)

MAX_LENGTH = 100_000
MAX_OFFSET = 2_000
MAX_DEPTH = 100
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:\\.|[^'\\])*')
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?::\d+)?)
    |(?P<sign><=|>=|!=|<>|[=<>(),]))""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_AFTER_FROM = {"where", "order", "limit", "offset", "using", "with", "group", "having", "for"}


def parse(text: str) -> Query:
    """The query. Raises SoqlError."""
    if len(text) > MAX_LENGTH:
        raise SoqlError("QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100,000 characters.")
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str):
        self.text = text
        self.tokens = self._split()
        self.next = 0
        self.depth = 0

    def _split(self) -> list[Token]:
        tokens, at, end = [], 0, len(self.text.rstrip())
        while at < end:
            found = _TOKEN.match(self.text, at)
            if found is None:
                raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{self.text[at:].lstrip()[0]}'")
            kind = found.lastgroup or ""
            tokens.append(Token(kind, found[kind], found.start(kind)))
            at = found.end()
        return [*tokens, Token("end", "<EOF>", len(self.text))]

    def peek(self) -> Token:
        return self.tokens[self.next]

    def take(self) -> Token:
        token = self.peek()
        self.next += token.kind != "end"
        return token

    def accept(self, *words: str) -> bool:
        """Whether these words or signs come next; then they are taken."""
        ahead = self.tokens[self.next : self.next + len(words)]
        if [t.text.lower() for t in ahead if t.kind in ("name", "sign")] != [*words]:
            return False
        self.next += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.unexpected()

    def unexpected(self) -> SoqlError:
        return SoqlError("MALFORMED_QUERY", f"unexpected token: '{self.peek().text}'")

    def name(self) -> Token:
        if self.peek().kind != "name":
            raise self.unexpected()
        return self.take()

    def path(self) -> Path:
        token = self.name()
        return Path(tuple(token.text.split(".")), token.at)

    def query(self) -> Query:
        found = self.select()
        if self.peek().kind != "end":
            raise self.unexpected()
        return found

    def select(self, *, inner: bool = False) -> Query:
        self.expect("select")
        selected = [self.selected(inner=inner)]
        while self.accept(","):
            selected.append(self.selected(inner=inner))
        self.expect("from")
        found = Query(self.text, selected, self.name())
        if self.peek().kind == "name" and self.peek().text.lower() not in _AFTER_FROM:
            raise self.unexpected()
        if self.accept("where"):
            found.where = self.conditions()
        if self.accept("order", "by"):
            found.order.append(self.ordering())
            while self.accept(","):
                found.order.append(self.ordering())
        if self.accept("limit"):
            found.limit = self.whole_number()
        if self.accept("offset"):
            found.offset = self.whole_number()
            if found.offset > MAX_OFFSET:
                raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
        return found

    def selected(self, *, inner: bool) -> Selected:
        if not inner and self.accept("("):
            children = self.select(inner=True)
            self.expect(")")
            return Selected(None, query=children)
        path = self.path()
        if not self.accept("("):
            return Selected(path)
        function = path.parts[0].lower()
        if function not in ("count", "min", "max", "fields") or len(path.parts) > 1:
            self.next -= 1
            raise self.unexpected()
        if function == "count" and self.accept(")"):
            return Selected(None, function)
        of = self.path()
        self.expect(")")
        aliased = function != "fields" and self.peek().kind == "name" and self.peek().text.lower() != "from"
        return Selected(of, function, self.take().text if aliased else None)

    def conditions(self) -> Condition:
        """Conditions joined by one kind of operator: SOQL wants parentheses where AND and OR meet."""
        conditions = [self.condition()]
        for word in ("and", "or"):
            if self.accept(word):
                conditions.append(self.condition())
                while self.accept(word):
                    conditions.append(self.condition())
                if self.peek().text.lower() in ("and", "or"):
                    raise self.unexpected()
                return Junction(word, tuple(conditions))
        return conditions[0]

    def condition(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SoqlError(
                "QUERY_TOO_COMPLICATED", "Query is either selecting too many fields or the filter conditions are too complicated."
            )
        found = self.nested() or self.comparison()
        self.depth -= 1
        return found

    def nested(self) -> Condition | None:
        if self.accept("not"):
            return Not(self.condition())
        if self.accept("("):
            inner = self.conditions()
            self.expect(")")
            return inner
        return None

    def comparison(self) -> Condition:
        path = self.path()
        if self.accept("in"):
            return Comparison(path, "in", self.list_of_values())
        if self.accept("not", "in"):
            return Comparison(path, "not in", self.list_of_values())
        if self.accept("like"):
            return Comparison(path, "like", (self.value(),))
        if self.peek().text not in _COMPARISONS:
            raise self.unexpected()
        operator = self.take().text
        return Comparison(path, "!=" if operator == "<>" else operator, (self.value(),))

    def list_of_values(self) -> tuple[Literal, ...]:
        self.expect("(")
        values = [self.value()]
        while self.accept(","):
            values.append(self.value())
        self.expect(")")
        return tuple(values)

    def value(self) -> Literal:
        token = self.take()
        if (literal := _literal(token)) is None:
            self.next -= token.kind != "end"
            raise self.unexpected()
        return literal

    def ordering(self) -> Ordering:
        path = self.path()
        descending = self.accept("desc")
        if not descending:
            self.accept("asc")
        nulls_first = not self.accept("nulls", "last")
        if nulls_first:
            self.accept("nulls", "first")
        return Ordering(path, descending, nulls_first)

    def whole_number(self) -> int:
        token = self.peek()
        if token.kind != "number" or not token.text.isdigit() or len(token.text) > 9:
            raise self.unexpected()
        return int(self.take().text)


def _literal(token: Token) -> Literal | None:
    word = token.text.lower()
    if token.kind == "string":
        value = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0] if m[1] in "%_" else m[1]), token.text[1:-1], flags=re.DOTALL)
        return Literal("string", value, token.text)
    if token.kind == "number":
        return Literal("number", float(token.text), token.text)
    try:
        if token.kind == "datetime":
            return Literal("datetime", datetime.fromisoformat(token.text).astimezone(UTC), token.text)
        if token.kind == "date":
            return Literal("date", date.fromisoformat(token.text), token.text)
    except (ValueError, OverflowError):
        return None
    if token.kind == "name" and word in ("true", "false"):
        return Literal("boolean", word == "true", token.text)
    if token.kind == "name" and word == "null":
        return Literal("null", None, token.text)
    if token.kind == "name" and re.fullmatch(r"today|yesterday|tomorrow|(last|next)_n_days:\d{1,4}", word):
        return Literal("range", word, token.text)
    return None
