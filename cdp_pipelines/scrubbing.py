"""The secrets that this process holds, and texts without them.

Whoever gets hold of a secret says so (`know`): the settings do it by their type, the CRM clients with each token that they are given. From
the first one on, the process's log records and the errors that end it or a thread are scrubbed, whoever logs or raises. Texts that go elsewhere are
scrubbed where they are made: the project's own errors, the audit log, what Dagster keeps of a step that failed.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import inspect
import logging
import re
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound=BaseException)

MARK = "[secret]"
# Anything shorter is no secret, and would stand in half of all words.
SHORTEST = 8
# Tokens come and go, an hour each; so many are remembered, the newest.
MOST = 1000
_NAMES = (
    "access_?token|refresh_?token|id_?token|client_?secret|webhook_?secret|assertion|password|passwd|api_?key|apikey|hapikey|token_?key"
    "|x-webhook-secret|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature"
)
# What is a secret by the name before it, known or not: `client_secret=...` in an address, "access_token": "..." in an answer.
_NAMED = re.compile(rf"""((?<![a-z])(?:{_NAMES})["']?\s*(?:=|:|%3d|%3a)\s*["']?)([^\s"'&,;<>(){{}}\[\]]{{6,}})""", re.IGNORECASE)
_SIGNED = re.compile(r"([?&](?:sig|signature|token|key)=)([^\s\"'&<>]{6,})", re.IGNORECASE)
_HEADER = re.compile(
    r"""(\bauthorization["']?\s*[:=]\s*["']?(?:bearer +|basic +)?|\bBearer +(?=[^\s"']{16}))([^\s"',;<>]{8,})""", re.IGNORECASE
)


@dataclass(frozen=True)
class _Known:
    """A secret as it is looked for: `pattern` is what it may have become, escaped as often as one likes, where `anchor` is in the text;
    `parts` are what is left of it in base64 and hexadecimal.
    """

    anchor: str
    pattern: re.Pattern[str]
    parts: tuple[str, ...]


_known: OrderedDict[str, _Known] = OrderedDict()
_in_order: tuple[_Known, ...] = ()
_lock = threading.Lock()
# `quot`, `amp` and so on, as `html.escape` and others write them; by code point.
_HTML = {34: ("quot",), 38: ("amp",), 39: ("apos",), 60: ("lt",), 62: ("gt",)}


class Concealed(Exception):
    """Stands for an exception whose own text cannot be rid of a secret."""


def know(*values: str | None) -> None:
    """Remember secrets, in every spelling in which they may turn up; None and what is too short to be one are passed over."""
    global _in_order
    new = [value for value in values if value and len(value) >= SHORTEST]
    if not new:
        return
    with _lock:
        unknown = [value for value in new if value not in _known]
        for value in new:
            _known[value] = _known.get(value) or _looked_for(value)
            _known.move_to_end(value)
        while len(_known) > MOST:
            _known.popitem(last=False)
        if unknown:
            # The longest first: part of a secret may be another one.
            _in_order = tuple(_known[value] for value in sorted(_known, key=len, reverse=True))
    _guard_process()


def know_key(pem: str) -> None:
    """Remember a private key, each line of it: errors and logs rarely show the whole."""
    lines = pem.replace("\\n", "\n").splitlines()
    know(*(line.strip() for line in lines if len(line.strip()) >= 16 and not line.startswith("-----")))


def scrub(text: str) -> str:
    """The text with a mark for every known secret, and for what follows a name such as `access_token=`."""
    for secret in _in_order:
        if secret.anchor in text:
            text = secret.pattern.sub(MARK, text)
        for part in secret.parts:
            if part in text:
                text = text.replace(part, MARK)
    for pattern in (_NAMED, _SIGNED, _HEADER):
        text = pattern.sub(rf"\1{MARK}", text)
    return text


def scrub_all(value: Any) -> Any:
    """The same for the texts in dictionaries, lists and tuples, keys left as they are."""
    if isinstance(value, str):
        return scrub(value)
    # Of these types and no other: what is made of them may take its parts in another way.
    if type(value) is dict:
        return {key: scrub_all(one) for key, one in value.items()}
    if type(value) is list or type(value) is tuple:
        return type(value)(map(scrub_all, value))
    return value


def clean(error: E) -> E | Concealed:
    """The exception without secrets: its arguments, attributes and notes, and those of its causes. Another one where that is not enough."""
    return _clean(error, set())


def without_secrets(function: F) -> F:
    """The function, or generator, with whatever it raises cleaned: for what somebody else calls and keeps the errors of."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Any:
            try:
                return (yield from function(*args, **kwargs))
            except Exception as error:
                cleaned = clean(error)
                if cleaned is error:
                    raise
            raise cleaned

        return cast("F", steps)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            cleaned = clean(error)
            if cleaned is error:
                raise
        raise cleaned

    return cast("F", called)


def _looked_for(value: str) -> _Known:
    raw = value.encode()
    parts = {raw.hex(), raw.hex().upper()}
    # In base64 of something longer (`id:secret`, `Bearer ...`) the secret stands in one of three ways; the characters at its ends are shared.
    for before, shared in enumerate((0, 2, 3)):
        whole = base64.b64encode(b"\0" * before + raw).decode()
        part = whole[shared : (before + len(raw)) * 8 // 6]
        parts |= {part, part.replace("+", "-").replace("/", "_")}
    anchor = max(re.findall(r"[A-Za-z0-9]*", value), key=len)
    return _Known(anchor, re.compile("".join(map(_escaped, value))), tuple(part for part in parts if len(part) >= SHORTEST))


@functools.cache
def _escaped(character: str) -> str:
    """What a character may have become in an address, a form, JSON, HTML or Python's own writing, and in those within one another."""
    if character.isascii() and character.isalnum():
        return character
    raw, point = character.encode(), ord(character)
    short = {"\n": "n", "\r": "r", "\t": "t"}.get(character)
    ways = [
        r"\\*" + re.escape(character),
        "".join(f"%(?:25)*(?i:{byte:02x})" for byte in raw),
        "".join(rf"\\+x(?i:{byte:02x})" for byte in raw),
        "".join(rf"\\+u(?i:{unit:04x})" for unit in _units(character)),
        rf"\\*&(?:amp;)*(?:\#0*{point}|\#[xX]0*(?i:{point:x})" + "".join(f"|{name}" for name in _HTML.get(point, ())) + ");",
        *([rf"\\+{short}"] if short else []),
        *([r"\+", r"\s+"] if character == " " else []),
    ]
    return f"(?:{'|'.join(dict.fromkeys(ways))})"


def _units(character: str) -> list[int]:
    """A character's UTF-16 units, by which JSON escapes it."""
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[n : n + 2], "big") for n in range(0, len(raw), 2)]


def _clean(error: BaseException, seen: set[int]) -> Any:
    if id(error) in seen:
        return error
    seen.add(id(error))
    # Some let nobody change them; whether that matters is seen below, by their text.
    with contextlib.suppress(AttributeError, TypeError):
        error.args = tuple(map(scrub_all, error.args))
    for name, value in list(getattr(error, "__dict__", {}).items()):
        with contextlib.suppress(AttributeError, TypeError):
            setattr(error, name, scrub_all(value))
    cause = _clean(error.__cause__, seen) if error.__cause__ is not None else None
    context = _clean(error.__context__, seen) if error.__context__ is not None else None
    suppressed, text = error.__suppress_context__, str(error)
    if isinstance(error, BaseExceptionGroup):
        error = error.derive([_clean(one, seen) for one in error.exceptions]).with_traceback(error.__traceback__)
    if scrub(text) == text:
        # Setting the cause sets this too.
        with contextlib.suppress(AttributeError, TypeError):
            error.__cause__, error.__context__, error.__suppress_context__ = cause, context, suppressed
            return error
    concealed = Concealed(f"{type(error).__name__}: {scrub(text)}").with_traceback(error.__traceback__)
    concealed.__cause__ = cause or (None if suppressed else context)
    return concealed


@functools.cache
def _guard_process() -> None:
    """Scrub this process's log records and the errors that end it or a thread, before whoever had them until now gets them."""
    logging.setLogRecordFactory(functools.partial(_record, logging.getLogRecordFactory()))
    sys.excepthook = functools.partial(_said, sys.excepthook)
    threading.excepthook = functools.partial(_said_in_thread, threading.excepthook)


def _record(make: Callable[..., logging.LogRecord], *args: Any, **kwargs: Any) -> logging.LogRecord:
    record = make(*args, **kwargs)
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or cannot be shown: no reason to fail whoever logs
        text = str(record.msg)
        record.msg, record.args = text, ()
    if (cleaned := scrub(text)) != text:
        record.msg, record.args = cleaned, ()
    if record.exc_info and record.exc_info[1] is not None:
        told = "".join(traceback.format_exception(*record.exc_info))
        if (cleaned := scrub(told)) != told:
            # Handlers format the exception as they like, so that only its text goes on.
            record.msg, record.args, record.exc_info = f"{record.getMessage()}\n{cleaned}".rstrip(), (), None
    return record


def _said(hook: Callable[..., Any], kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    cleaned = clean(error)
    hook(type(cleaned), cleaned, trace)


def _said_in_thread(hook: Callable[..., Any], args: Any) -> None:
    if args.exc_value is not None:
        cleaned = clean(args.exc_value)
        args = type(args)((type(cleaned), cleaned, args.exc_traceback, args.thread))
    hook(args)
