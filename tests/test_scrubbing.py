"""Texts, log records and errors without the secrets of the process."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import subprocess
import sys
import traceback
import uuid
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest
from pydantic import BaseModel

from cdp_pipelines import scrubbing
from cdp_pipelines.scrubbing import MARK, clean, know, know_key, scrub, scrub_all, without_secrets


@pytest.fixture
def secret() -> str:
    """One that no other test knows, with what encodings change."""
    value = f"cän ry/{uuid.uuid4().hex[:12]}+\"&<'\\\n{uuid.uuid4().hex[:12]}"
    know(value)
    return value


SPELLINGS = {
    "plain": lambda s: s,
    "in an address": lambda s: quote(s, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in a whole form": lambda s: urlencode({"x": s}),
    "in JSON": lambda s: json.dumps({"x": s}),
    "in JSON as it is": lambda s: json.dumps({"x": s}, ensure_ascii=False),
    "in JSON within JSON": lambda s: json.dumps(json.dumps({"x": s})),
    "as Python shows it": repr,
    "as Python shows it in what it shows": lambda s: repr(repr(repr(s))),
    "as Python shows bytes": lambda s: repr(s.encode()),
    "as Python shows an error with bytes": lambda s: repr(ValueError(repr(f"Illegal header value {s.encode()!r}"))),
    "in HTML": html.escape,
    "in JSON in HTML": lambda s: html.escape(json.dumps({"x": s})),
    "in an address in an address": lambda s: quote(quote(s, safe=""), safe=""),
    "in an address in JSON in JSON": lambda s: json.dumps(json.dumps({"x": f"https://x/?y={quote_plus(s)}"})),
    "in hexadecimal": lambda s: s.encode().hex(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 of id and secret": lambda s: base64.b64encode(f"an-id:{s}".encode()).decode(),
    "base64 of a longer id and secret": lambda s: base64.b64encode(f"an-idx:{s}!".encode()).decode(),
    "base64 for addresses": lambda s: base64.urlsafe_b64encode(f"?:{s}".encode()).decode(),
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_known_secret_is_taken_out_however_it_is_spelt(secret, how):
    cleaned = scrub(f"before {SPELLINGS[how](secret)} after")
    assert MARK in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert secret[7:19] not in cleaned
    assert secret[-12:] not in cleaned
    if how.startswith(("base64", "in hexadecimal")):
        # Nothing of it can be put together again from what is left at the ends.
        assert len(cleaned) - len(MARK) < 40


@pytest.mark.parametrize(
    "text",
    [
        "GET /rest/v1/leads.json?access_token=Zq81kk-unknown:int&batchSize=300",
        "https://x.example/file.csv?X-Amz-Signature=Zq81kk-unknown",
        "POST client_id=known&client_secret=Zq81kk-unknown",
        '{"access_token": "Zq81kk-unknown", "token_type": "bearer"}',
        "{'refresh_token': 'Zq81kk-unknown'}",
        "headers: Authorization: Bearer Zq81kk-unknown",
        "x-webhook-secret: Zq81kk-unknown",
        "grant_type=password&password=Zq81kk-unknown",
    ],
)
def test_what_is_a_secret_by_the_name_before_it_goes_too(text):
    assert "Zq81kk" not in scrub(text)
    assert MARK in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "HubSpot does not accept the access token (INVALID_AUTHENTICATION).",
        "Set SALESFORCE_PASSWORD to the API user's password with the security token appended.",
        "salesforce.client_secret is missing. Set it to the Consumer Secret of the Connected App (same page).",
        "Basic information of the account",
        "raw_hubspot.contacts: 1,204 rows",
    ],
)
def test_our_own_sentences_about_secrets_stay_as_they_are(text):
    assert scrub(text) == text


def test_what_is_too_short_to_be_a_secret_is_none():
    know("the", "", None)
    assert scrub("the rest") == "the rest"


def test_each_line_of_a_private_key_is_a_secret():
    lines = [uuid.uuid4().hex * 2 for _ in range(3)]
    know_key("-----BEGIN PRIVATE KEY-----\\n" + "\\n".join(lines) + "\\n-----END PRIVATE KEY-----")
    assert scrub(f"could not read {lines[1]}") == f"could not read {MARK}"
    assert scrub("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_tokens_that_came_first_are_forgotten_and_the_newest_known(monkeypatch):
    monkeypatch.setattr(scrubbing, "MOST", len(scrubbing._known) + 2)
    tokens = [uuid.uuid4().hex for _ in range(4)]
    for token in tokens:
        know(token)
    assert len(scrubbing._known) == scrubbing.MOST
    assert all(token not in scrub(token) for token in tokens[-2:])


def test_texts_in_structures_are_scrubbed_and_numbers_stay(secret):
    assert scrub_all({"a": [secret, 1, (secret, None)], "b": {"c": f"x {secret}"}}) == {
        "a": [MARK, 1, (MARK, None)],
        "b": {"c": f"x {MARK}"},
    }


@pytest.mark.parametrize("formatter", [logging.Formatter(), logging.Formatter("%(message)s %(args)s %(exc_text)s")])
def test_log_records_of_any_logger_have_no_secret(secret, formatter):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    log = logging.getLogger(f"somebody.else.{uuid.uuid4().hex}")
    log.addHandler(handler)
    log.warning("plain %s and %r", secret, {"k": secret})
    try:
        raise ValueError(secret) from KeyError(secret)
    except ValueError:
        log.exception("it failed")
    log.warning("%d does not fit", secret)
    said = stream.getvalue()
    assert said.count(MARK) >= 4
    assert "it failed" in said
    assert "ValueError" in said
    assert secret not in said
    assert secret[10:18] not in said


class Awkward(Exception):
    """Shows something that is none of its arguments."""

    def __init__(self, hidden: list[str]):
        super().__init__()
        self.hidden = frozenset(hidden)

    def __str__(self) -> str:
        return f"awkward {next(iter(self.hidden))}"


def test_an_error_is_cleaned_with_all_that_led_to_it(secret):
    def deepest() -> None:
        raise Awkward([secret])

    def middle() -> None:
        try:
            deepest()
        except Awkward:
            raise KeyError(secret)  # noqa: B904 - the context is what this is about

    try:
        try:
            middle()
        except KeyError as error:
            error.add_note(f"noted {secret}")
            raise RuntimeError("outer", {"token": secret}) from error
    except RuntimeError as error:
        cleaned = clean(error)
        assert cleaned is error
        text = "".join(traceback.format_exception(cleaned))
        assert secret[10:18] not in text
        assert {"deepest", "middle"} <= {word.strip("(),") for word in text.split()} or "in deepest" in text
        assert "Awkward: awkward [secret]" in text
        assert cleaned.args == ("outer", {"token": MARK})


class Config(BaseModel):
    size: int


class Frozen(ValueError):
    """Lets nobody change it."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


@pytest.mark.parametrize("raising", ["pydantic", "frozen", "file", "unicode"])
def test_errors_that_cannot_be_changed_are_replaced(secret, raising):
    def go() -> None:
        match raising:
            case "pydantic":
                Config(size=secret)
            case "frozen":
                raise Frozen(f"it is {secret}")
            case "file":
                Path(f"/nowhere/{secret}").read_text()
            case "unicode":
                secret.encode("ascii")

    with pytest.raises(Exception) as caught:
        without_secrets(go)()
    said = "".join(traceback.format_exception(caught.value))
    assert secret[7:19] not in said
    assert secret[-12:] not in said


def test_a_group_of_errors_is_cleaned(secret):
    group = clean(ExceptionGroup("several", [ValueError(secret), Awkward([secret])]))
    text = "".join(traceback.format_exception(group))
    assert secret[10:18] not in text
    assert text.count(MARK) == 2


def test_a_wrapped_function_and_generator_raise_clean_errors_and_give_what_they_give(secret):
    @without_secrets
    def fails() -> None:
        raise Awkward([secret])

    @without_secrets
    def steps(n: int):
        got = yield n
        yield got
        raise ValueError(secret)

    with pytest.raises(scrubbing.Concealed, match=r"^Awkward: awkward \[secret\]$") as caught:
        fails()
    assert secret[10:18] not in "".join(traceback.format_exception(caught.value))
    going = steps(1)
    assert next(going) == 1
    assert going.send("sent") == "sent"
    with pytest.raises(ValueError, match=r"^\[secret\]$"):
        next(going)


@pytest.mark.parametrize("where", ["main", "thread"])
def test_an_error_that_ends_the_process_or_a_thread_is_told_without_the_secret(where):
    program = (
        "import threading\nfrom cdp_pipelines.scrubbing import know\nknow('hush-hush-hush')\n"
        "def fail(): raise ValueError('the token hush-hush-hush is wrong')\n"
    ) + ("fail()" if where == "main" else "t = threading.Thread(target=fail)\nt.start()\nt.join()")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ValueError: the token [secret] is wrong" in ended.stderr
    # The line of the program that raised is not in the traceback: it was given as text.
    assert "hush" not in ended.stderr
