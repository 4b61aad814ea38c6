"""HubSpot's signatures against its own published vectors, and its own client's."""

from __future__ import annotations

import pytest
from hubspot.utils.signature import Signature

from cdp_pipelines.webhooks.signatures import Refused, check_hubspot, check_shared_secret, hubspot_v1, hubspot_v3

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
BODY = b'{"example_field":"example_value"}'
URL = "https://www.example.com/webhook_uri"
AT = "1700000000000"
V3 = "rQEKkaNUiu+1qGF//O/pw4BCzstSqO1PyUnGICmf+7o="


def headers(**more: str) -> dict[str, str]:
    return {"x-hubspot-signature-v3": V3, "x-hubspot-request-timestamp": AT} | {k.replace("_", "-"): v for k, v in more.items()}


def test_the_published_signatures_are_ours():
    assert hubspot_v1(SECRET, BODY) == "54b2530692e3a3982727206aeee670ed1d85319cad55d4ddbafcf41725ebf2b3"
    assert hubspot_v3(SECRET, "POST", URL, BODY, AT) == V3


@pytest.mark.parametrize(
    ("called", "signed"),
    [
        (URL, URL), (f"{URL}?a=1&b=c-d_e", f"{URL}?a=1&b=c-d_e"), (f"{URL}?b=%2F%3a", f"{URL}?b=/:"), (f"{URL}?x=%20%25%7E", f"{URL}?x=%20%25%7E"),
        (f"{URL}?q=%21%24%27%28%29%2A%2C%3B%40%3F", f"{URL}?q=!$'()*,;@?"),
    ],
)  # fmt: skip
def test_hubspots_own_client_signs_the_same_once_the_codes_are_decoded_that_hubspot_decodes(called: str, signed: str):
    theirs = Signature.get_signature(SECRET, BODY.decode(), "v3", http_uri=signed, http_method="POST", timestamp=AT)
    assert hubspot_v3(SECRET, "POST", called, BODY, AT) == theirs


@pytest.mark.parametrize(
    ("given", "now", "secrets", "reason"),
    [
        (headers(), 300_001, [SECRET], "stale"), (headers(), -300_001, [SECRET], "stale"), (headers(), 0, ["other"], "wrong"),
        (headers(x_hubspot_request_timestamp=""), 0, [SECRET], "missing"), (headers(x_hubspot_request_timestamp="1e12"), 0, [SECRET], "missing"),
        (headers(x_hubspot_request_timestamp="1700000000001"), 0, [SECRET], "wrong"), ({}, 0, [SECRET], "missing"), (headers(), 0, [], "wrong"),
        ({"x-hubspot-signature": "x", "x-hubspot-signature-version": "v2"}, 0, [SECRET], "missing"),
        ({"x-hubspot-signature": "é"}, 0, [SECRET], "wrong"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(given: dict[str, str], now: int, secrets: list[str], reason: str):
    with pytest.raises(Refused, match=reason):
        check_hubspot(secrets, "POST", URL, given, BODY, int(AT) + now)


def test_the_window_and_both_secrets_are_accepted():
    for late in (0, 300_000, -300_000):
        check_hubspot(["other", SECRET], "post", URL, headers(), BODY, int(AT) + late)


def test_a_shared_secret_may_be_shown_in_three_ways():
    for given, path in (({"x-webhook-secret": "s"}, None), ({"authorization": "Bearer s"}, None), ({}, "s")):
        check_shared_secret(["s"], given, path)
        with pytest.raises(Refused, match="wrong"):
            check_shared_secret(["t"], given, path)
    with pytest.raises(Refused, match="missing"):
        check_shared_secret(["s"], {"authorization": ""}, None)
