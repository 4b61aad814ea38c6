"""Names of people as evidence: read into parts, and compared part by part."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache

from nicknames import NickNamer
from rapidfuzz.distance import OSA, JaroWinkler

from cdp_pipelines.identity.blanks import filled

_TITLES = frozenset({
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "madam", "rev", "herr", "frau", "mme", "mlle", "monsieur", "madame",
    "sra", "srta", "ing", "dipl",
})  # fmt: skip
_GENERATIONS = {"jr": 2, "jnr": 2, "junior": 2, "sr": 1, "snr": 1, "senior": 1, "i": 1, "ii": 2, "iii": 3, "iv": 4}
_DEGREES = frozenset({"phd", "md", "mba", "esq", "cpa", "dds", "jd", "msc", "bsc", "ma", "ba", "rn", "pe", "pmp", "cfa", "dvm"})
_PARTICLES = frozenset({
    "van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "do", "du", "la", "le", "las", "los", "el", "al", "bin", "ibn",
    "ten", "ter", "zu", "zur", "af", "av", "st", "y", "e",
})  # fmt: skip
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ß": "ss"})


class Level(IntEnum):
    """How well two parts of a name go together, from a contradiction to the same."""

    CONFLICT = -2
    UNSURE = -1
    UNKNOWN = 0
    INITIAL = 1
    VARIANT = 2
    SAME = 3


class Agreement(IntEnum):
    """How well two names go together. Below UNKNOWN they contradict each other.

    HALF: one part goes together, the other is missing. PARTIAL: an initial stands for a part. CLOSE: another form or spelling.
    """

    GENERATION = -3
    CONFLICT = -2
    SURNAME = -1
    UNKNOWN = 0
    HALF = 1
    PARTIAL = 2
    CLOSE = 3
    SAME = 4


@dataclass(frozen=True, slots=True)
class Name:
    """A name in parts: words without accents in lower case; `generation` is 1 for senior, 2 for junior, 3 for the third."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    generation: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether it has both parts, the first one written out."""
        return bool(self.first and self.last) and len(self.first[0]) > 1


@lru_cache(maxsize=262_144)
def words(text: str | None) -> tuple[str, ...]:
    """The words of a name, accents folded (composed or not), apostrophes left out."""
    if (text := filled(text)) is None:
        return ()
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_LETTERS)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"\(.*?\)|\".*?\"", " ", plain)
    plain = re.sub(r"['’`´]", "", plain)
    return tuple(re.findall(r"[^\W\d_]+", plain))


@lru_cache(maxsize=262_144)
def read(first: str | None, last: str | None) -> Name | None:
    """The name in two fields as a person wrote them; None where neither says anything.

    A full name in one field is taken apart, `Lee, Ann` too; titles and degrees are left out.
    """
    generation = None
    if last and "," in last and not words(first):
        before, _, after = last.partition(",")
        if words(after) and words(after)[-1] not in _GENERATIONS.keys() | _DEGREES:
            last, first = before, after
    given, family = list(words(first)), list(words(last))
    for part in (family, given):
        while len(part) > 1 and (part[-1] in _DEGREES or (part[-1] in _GENERATIONS and (part is family or part[-1] != "i"))):
            generation = _GENERATIONS.get(part.pop(), generation)
        while len(part) > 1 and part[0] in _TITLES:
            part.pop(0)
    if given and given[0] in _TITLES and family:
        given.pop(0)
    if not given and len(family) > 1 and family[0] not in _PARTICLES:
        given, family = family[:1], family[1:]
    elif not family and len(given) > 1:
        given, family = given[:-1], given[-1:]
    return Name(tuple(given), tuple(family), generation) if given or family else None


@lru_cache(maxsize=1_048_576)
def compare(a: Name, b: Name) -> Agreement:
    """How well two names go together, whichever way round their parts were entered."""
    if a.generation and b.generation and a.generation != b.generation:
        return Agreement.GENERATION
    found = _together(_given(a.first, b.first), _family(a.last, b.last))
    if found < Agreement.CLOSE and (_begin_alike(a.first, b.last) or _begin_alike(a.last, b.first)):
        swapped = max(
            _together(_given(a.first, b.last), _family(a.last, b.first)), _together(_given(a.last, b.first), _family(a.first, b.last))
        )
        if swapped >= Agreement.PARTIAL or (swapped == Agreement.HALF and found < Agreement.UNKNOWN):
            found = max(found, min(swapped, Agreement.CLOSE))
    # John Smith may be the father of John Smith Jr., or be himself.
    return min(found, Agreement.UNKNOWN) if a.generation != b.generation else found


def _begin_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether it is worth looking closer: of two names entered the other way round, one part at least begins alike."""
    return bool(one and other) and one[0][0] == other[0][0]


def _together(given: Level, family: Level) -> Agreement:
    if given == Level.CONFLICT:
        return Agreement.CONFLICT
    if family == Level.CONFLICT:
        return Agreement.SURNAME if given >= Level.VARIANT else Agreement.CONFLICT
    if given == family == Level.SAME:
        return Agreement.SAME
    if given >= Level.VARIANT and family >= Level.VARIANT:
        return Agreement.CLOSE
    if min(given, family) >= Level.INITIAL:
        return Agreement.PARTIAL
    if min(given, family) == Level.UNKNOWN and max(given, family) >= Level.VARIANT:
        return Agreement.HALF
    return Agreement.UNKNOWN


def _given(a: tuple[str, ...], b: tuple[str, ...]) -> Level:
    """Given names: middle names, initials, nicknames, other spellings and slips."""
    if not a or not b:
        return Level.UNKNOWN
    if a == b or "".join(a) == "".join(b):
        return Level.SAME if len(a[0]) > 1 or not a[0].isascii() else Level.INITIAL
    one, other = a[0], b[0]
    if one == other:
        return Level.VARIANT if len(one) > 1 or not one.isascii() else Level.INITIAL
    if min(len(one), len(other)) == 1 and (one + other).isascii():
        return _initial(a, b)
    if one in b or other in a or same_person_names(one, other):
        return Level.VARIANT
    level = _spelling(one, other, known=one in _known_names() and other in _known_names())
    if level == Level.CONFLICT and (_is_slip_of_another_form(one, other) or _is_slip_of_another_form(other, one)):
        return Level.UNSURE
    return level


def _is_slip_of_another_form(one: str, other: str) -> bool:
    """Whether the other name may be a pet form of this one with a slip: Dck for Richard, who is called Dick."""
    forms = (*_nicknames().get(one, ()), *_full_forms().get(one, ()))
    return len(other) >= 3 and any(len(form) > 3 and OSA.distance(form, other, score_cutoff=1) == 1 for form in forms)


def _family(a: tuple[str, ...], b: tuple[str, ...]) -> Level:
    """Family names: particles, double names, initials and slips."""
    if not a or not b:
        return Level.UNKNOWN
    one, other = "".join(a), "".join(b)
    if one == other:
        return Level.SAME if len(one) > 1 or not one.isascii() else Level.INITIAL
    if min(len(one), len(other)) == 1 and (one + other).isascii():
        return Level.INITIAL if one[0] == other[0] else Level.CONFLICT
    mine, theirs = set(a) - _PARTICLES, set(b) - _PARTICLES
    if mine and theirs and (mine <= theirs or theirs <= mine):
        return Level.VARIANT
    return _spelling(one, other, known=False)


def _initial(a: tuple[str, ...], b: tuple[str, ...]) -> Level:
    if a[0][0] == b[0][0]:
        return Level.INITIAL
    long = a if len(a[0]) > 1 else b
    short = b if long is a else a
    if len(long[0]) == 1:
        return Level.CONFLICT
    # B. Lee may be Robert, whom all call Bob.
    others = (*_nicknames().get(long[0], ()), *_full_forms().get(long[0], ()), *long[1:])
    return Level.UNSURE if any(word[0] == short[0][0] for word in others) else Level.CONFLICT


def _spelling(one: str, other: str, *, known: bool) -> Level:
    """Two words that differ: another spelling or a slip (one letter; two in long words), perhaps one, or another name."""
    if one.isascii() != other.isascii():
        return Level.UNSURE  # another script
    if _sound(one) == _sound(other):
        return Level.VARIANT
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) >= 3 and longer.startswith(shorter) and (len(longer) - len(shorter) > 1 or longer[-1] not in "aeo"):
        return Level.UNSURE if known else Level.VARIANT
    distance = OSA.distance(one, other, score_cutoff=3)
    if distance == 1 and len(one) == len(other) >= 5 and sorted(one) == sorted(other):
        return Level.VARIANT
    if distance <= (2 if len(shorter) >= 8 else 1) and len(shorter) >= 4:
        # Two names that both exist are rarely a slip of each other: Julia and Julie.
        gendered = one[:-1] == other[:-1] or (longer[:-1] == shorter)
        return Level.UNSURE if known or (gendered and {one[-1], other[-1]} & set("aeo")) else Level.VARIANT
    if distance <= 1 or (distance <= 2 and len(shorter) >= 7) or JaroWinkler.similarity(one, other) >= 0.9:
        return Level.UNSURE
    return Level.CONFLICT


def guess(name: Name | None, mailbox: str) -> Name | None:
    """The name with a part that is missing taken from the name of the mailbox: `Petar` of petar.gierschner@acme.com is Petar Gierschner."""
    if name is None or (name.first and name.last):
        return name
    known = "".join(name.first or name.last)
    letters = re.sub(r"[^a-z]", "", mailbox)
    if len(known) < 2 or (not letters.startswith(known) and not letters.endswith(known)):
        return name
    rest = letters[len(known) :] if letters.startswith(known) else letters[: -len(known)]
    if not rest or (name.first and len(rest) < 2):
        return name
    return Name(name.first or (rest,), name.last or (rest,), name.generation)


def same_person_names(one: str, other: str) -> bool:
    """Whether one is a usual short or pet form of the other, or both are of the same name."""
    short, full = _nicknames(), _full_forms()
    return other in short.get(one, ()) or one in short.get(other, ()) or not full.get(one, frozenset()).isdisjoint(full.get(other, ()))


@cache
def _nicknames() -> dict[str, frozenset[str]]:
    return {name: frozenset(short) for name, short in NickNamer.default_lookup().items()}


@cache
def _full_forms() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = defaultdict(set)
    for name, all_short in _nicknames().items():
        for short in all_short:
            table[short].add(name)
    return {short: frozenset(names) for short, names in table.items()}


@cache
def _known_names() -> frozenset[str]:
    return frozenset(_nicknames()) | frozenset(_full_forms())


@lru_cache(maxsize=262_144)
def _sound(word: str) -> str:
    """Roughly how a word sounds: spellings such as Marc and Mark, Sara and Sarah, Meyer and Maier give the same."""
    plain = word.replace("ph", "f").replace("ck", "k").replace("sch", "s").replace("ch", "k").replace("th", "t").replace("gh", "g")
    plain = plain.translate(str.maketrans("cqvyzw", "kkfisf"))
    plain = plain[0] + plain[1:].replace("h", "").replace("ai", "ei").replace("ae", "a").replace("oe", "o").replace("ue", "u")
    plain = re.sub(r"(.)\1+", r"\1", plain)
    return plain[:-1] if len(plain) > 3 and plain.endswith("e") else plain
