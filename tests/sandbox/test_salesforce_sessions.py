from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.salesforce_org import Caller, new_store

Serve = Callable[[Any], str]
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PARTNER = "{urn:partner.soap.sforce.com}"


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


@pytest.fixture
def options() -> SalesforceOptions:
    return SalesforceOptions()


@pytest.fixture
def caller(serve: Serve, store: SalesforceStore, options: SalesforceOptions) -> Caller:
    return Caller(serve(app(store, options)))


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def assertion(key: rsa.RSAPrivateKey = KEY, algorithm: str = "RS256", **claims: Any) -> str:
    said = {
        "iss": credentials.SALESFORCE["client_id"], "sub": credentials.SALESFORCE["username"], "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 120, **claims,
    }  # fmt: skip
    signed = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": algorithm}, said))
    return f"{signed}.{b64(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def signed_in(caller: Caller, text: str) -> httpx2.Response:
    return caller.http.post("/services/oauth2/token", data={"grant_type": JWT, "assertion": text})


def test_a_signed_assertion_opens_a_session(caller: Caller, options: SalesforceOptions) -> None:
    options.jwt_public_key = PUBLIC
    body = signed_in(caller, assertion()).json()
    assert "refresh_token" not in body
    assert caller.http.get("/services/data/v62.0/limits", headers={"Authorization": f"Bearer {body['access_token']}"}).status_code == 200
    assert signed_in(caller, assertion(aud=caller.base_url)).status_code == 200


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}, ("invalid_grant", "invalid assertion")),
        ({"sub": "nobody@x.example"}, ("invalid_grant", "user hasn't approved this consumer")),
        ({"iss": "x"}, ("invalid_client_id", "client identifier invalid")),
        ({"aud": "https://evil.example"}, ("invalid_grant", "audience is invalid")),
        ({"exp": 1}, ("invalid_grant", "expired authorization code")),
        ({"exp": 9e12}, ("invalid_grant", "invalid assertion")),
        ({"algorithm": "none"}, ("invalid_grant", "algorithm not supported")),
    ],
)  # fmt: skip
def test_a_wrong_assertion_says_what_is_wrong(caller: Caller, options: SalesforceOptions, change: Any, body: tuple[str, str]) -> None:
    options.jwt_public_key = PUBLIC
    answer = signed_in(caller, assertion(**change))
    assert (answer.status_code, answer.json()) == (400, {"error": body[0], "error_description": body[1]})


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "....", "é.é.é", "bnVsbA.bnVsbA.x"])
def test_nonsense_is_no_assertion(caller: Caller, text: str) -> None:
    assert signed_in(caller, text).json()["error"] == "invalid_grant"


def test_tokens_come_in_other_forms_and_can_be_revoked(caller: Caller) -> None:
    xml = ElementTree.fromstring(caller.token(grant_type="password", format="xml").content)
    assert (xml.tag, xml.findtext("token_type")) == ("OAuth", "Bearer")
    assert "access_token=00D" in caller.token(grant_type="password", format="urlencoded").text
    token = caller.http.headers["Authorization"].partition(" ")[2]
    assert caller.http.post("/services/oauth2/revoke", data={"token": token}).status_code == 200
    assert caller.get("limits").status_code == 401
    assert caller.http.post("/services/oauth2/revoke", data={"token": token}).json()["error"] == "unsupported_token_type"


def soap(caller: Caller, call: str, session: str = "", path: str = "u/59.0") -> httpx2.Response:
    head = f"<soapenv:Header><urn:SessionHeader><urn:sessionId>{session}</urn:sessionId></urn:SessionHeader></soapenv:Header>"
    body = (f'<?xml version="1.0" encoding="utf-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            f'xmlns:urn="urn:partner.soap.sforce.com">{head}<soapenv:Body>{call}</soapenv:Body></soapenv:Envelope>')  # fmt: skip
    return caller.http.post(f"/services/Soap/{path}", content=body.encode(), headers={"Content-Type": "text/xml", "SOAPAction": "login"})


def login(caller: Caller, path: str = "u/59.0", **changed: str) -> httpx2.Response:
    who = {**credentials.SALESFORCE, **changed}
    return soap(
        caller,
        f"<urn:login><urn:username>{who['username']}</urn:username><urn:password>{who['password']}</urn:password></urn:login>",
        path=path,
    )


@pytest.mark.parametrize(("path", "space"), [("u/59.0", PARTNER), ("c/42.0", "{urn:enterprise.soap.sforce.com}")])
def test_a_soap_login_opens_a_session(caller: Caller, path: str, space: str) -> None:
    answer = login(caller, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml; charset=UTF-8")
    assert "Sforce-Limit-Info" not in answer.headers
    found = {e.tag.removeprefix(space): e.text or "" for e in ElementTree.fromstring(answer.content).iter()}
    assert found["serverUrl"].startswith(f"{caller.base_url}/services/Soap/{path}/00D")
    assert (found["sandbox"], found["sessionSecondsValid"], found["orgHasPersonAccounts"]) == ("false", "7200", "false")
    headers = {"Authorization": f"Bearer {found['sessionId']}"}
    assert caller.http.get("/services/data/v59.0/limits", headers=headers).status_code == 200


def test_a_wrong_soap_login_is_the_recorded_fault(caller: Caller) -> None:
    answer = login(caller, password="x")
    assert answer.status_code == 500
    text = "Invalid username, password, security token; or user locked out."
    assert f"<faultcode>INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: {text}</faultstring>" in answer.text
    assert (
        f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode><sf:exceptionMessage>{text}<'
        in answer.text
    )
    assert "INVALID_OPERATION" in login(caller, "u/65.0").text


@pytest.mark.parametrize("body", [b"", b"<x", b"<x/>", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
def test_nonsense_is_a_fault(caller: Caller, body: bytes) -> None:
    answer = caller.http.post("/services/Soap/u/59.0", content=body, headers={"Content-Type": "text/xml"})
    assert (answer.status_code, "<soapenv:Fault>" in answer.text) == (500, True)


def session_of(caller: Caller) -> str:
    return caller.http.headers["Authorization"].partition(" ")[2]


def results(answer: httpx2.Response) -> list[dict[str, str | None]]:
    assert answer.status_code == 200, answer.text
    return [
        {e.tag.removeprefix(PARTNER): e.text for e in r.iter()} for r in ElementTree.fromstring(answer.content).iter(f"{PARTNER}result")
    ]


def made(caller: Caller, name: str, **fields: Any) -> str:
    return caller.send("POST", f"sobjects/{name}", fields).json()["id"]


def test_a_lead_is_converted_once(caller: Caller, store: SalesforceStore) -> None:
    lead = made(caller, "Lead", LastName="Okafor", Company="Okafor Ltd", Email="o@okafor.example")
    call = (f"<urn:convertLead><urn:leadConverts><urn:convertedStatus>Closed - Converted</urn:convertedStatus><urn:leadId>{lead}</urn:leadId>"
            "</urn:leadConverts></urn:convertLead>")  # fmt: skip
    (done,) = results(soap(caller, call, session_of(caller)))
    assert done["success"] == "true"
    record = store.get(lead) or {}
    assert (record["ConvertedContactId"], record["ConvertedAccountId"]) == (done["contactId"], done["accountId"])
    assert store.value(done["contactId"], "Email") == "o@okafor.example"
    assert store.value(done["opportunityId"], "ContactId") == done["contactId"]
    (again,) = results(soap(caller, call, session_of(caller)))
    assert (again["success"], again["statusCode"]) == ("false", "CANNOT_UPDATE_CONVERTED_LEAD")
    assert "INVALID_SESSION_ID" in soap(caller, call, "nope").text


def test_accounts_are_merged_with_their_children(caller: Caller, store: SalesforceStore) -> None:
    winner, loser = (made(caller, "Account", Name=name) for name in ("Acme", "ACME Inc"))
    contact = made(caller, "Contact", LastName="Lee", AccountId=loser)
    call = (f"<urn:merge><urn:request><urn:masterRecord><urn:type>Account</urn:type><urn:Id>{winner}</urn:Id><urn:Site>HQ</urn:Site>"
            f"</urn:masterRecord><urn:recordToMergeIds>{loser}</urn:recordToMergeIds></urn:request></urn:merge>")  # fmt: skip
    (done,) = results(soap(caller, call, session_of(caller)))
    assert (done["id"], done["mergedRecordIds"], done["updatedRelatedIds"]) == (winner, loser, contact)
    assert (store.value(contact, "AccountId"), store.value(winner, "Site")) == (winner, "HQ")
    assert (store.value(loser, "IsDeleted"), store.value(loser, "MasterRecordId")) == (True, winner)


def test_the_recycle_bin_gives_back_and_is_emptied(caller: Caller, store: SalesforceStore) -> None:
    first, second = (made(caller, "Lead", LastName=name, Company="X") for name in ("A", "B"))
    for lead in (first, second):
        caller.send("DELETE", f"sobjects/Lead/{lead}")
    (back,) = results(soap(caller, f"<urn:undelete><urn:ids>{first}</urn:ids></urn:undelete>", session_of(caller)))
    assert (back["success"], caller.get(f"sobjects/Lead/{first}").status_code) == ("true", 200)
    emptied = results(
        soap(
            caller, f"<urn:emptyRecycleBin><urn:ids>{second}</urn:ids><urn:ids>{first}</urn:ids></urn:emptyRecycleBin>", session_of(caller)
        )
    )
    assert [e["success"] for e in emptied] == ["true", "false"]
    assert store.get(second) is None


def test_calls_go_to_the_address_that_the_login_gave_too(caller: Caller) -> None:
    (address,) = [e.text or "" for e in ElementTree.fromstring(login(caller).content).iter() if e.tag == f"{PARTNER}serverUrl"]
    path = address.partition("/services/Soap/")[2]
    assert path.startswith("u/59.0/00D")
    made = caller.send("POST", "sobjects/Contact", {"LastName": "Lee"}).json()["id"]
    assert caller.send("DELETE", f"sobjects/Contact/{made}").status_code == 204
    (done,) = results(soap(caller, f"<urn:undelete><urn:ids>{made}</urn:ids></urn:undelete>", session_of(caller), path))
    assert done["success"] == "true"
    assert caller.get(f"sobjects/Contact/{made}").json()["LastName"] == "Lee"
