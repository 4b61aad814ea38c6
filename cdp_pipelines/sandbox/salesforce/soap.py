"""The SOAP API's calls that REST does not have, or that clients still make there: login, logout, convertLead, merge, undelete and
emptyRecycleBin, by the partner (`u`) and the enterprise (`c`) path. Faults are HTTP 500.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock, credentials
from cdp_pipelines.sandbox.salesforce.dml import Writer
from cdp_pipelines.sandbox.salesforce.gate import Gate, known_version
from cdp_pipelines.sandbox.salesforce.org import ORG_ID
from cdp_pipelines.sandbox.salesforce.records import Records
from cdp_pipelines.sandbox.salesforce.replies import Refused, read_body_xml

_WRONG_LOGIN = "Invalid username, password, security token; or user locked out."
_NOT_FROM = 65
MOST_MERGED = 2


class Fault(Exception):
    """A SOAP fault of one of the vendor's kinds."""

    def __init__(self, code: str, message: str, kind: str = "UnexpectedErrorFault"):
        super().__init__(message)
        self.code, self.message, self.kind = code, message, kind


class Soap:
    """The SOAP endpoint of one org."""

    def __init__(self, gate: Gate, writer: Writer):
        self.gate, self.org, self.store, self.writer = gate, gate.org, gate.store, writer

    async def call(self, request: Request) -> Response:
        """POST /services/Soap/u/{version}."""
        enterprise = request.path_params["kind"] == "c"
        namespace = f"urn:{'enterprise' if enterprise else 'partner'}.soap.sforce.com"
        try:
            head, call = _envelope(await request.body())
            name = _name(call)
            if not known_version(request.path_params["version"]):
                raise Fault("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL", "ApiFault")
            inner = self._login(request, call) if name == "login" else self._in_session(head, name, call)
        except Fault as fault:
            return _xml(_fault(fault, namespace), 500)
        body = f"<{name}Response>{inner}</{name}Response>"
        return _xml(
            f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            f'xmlns="{namespace}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>',
            200,
        )

    def _login(self, request: Request, call: ElementTree.Element) -> str:
        version = request.path_params["version"]
        if int(version.partition(".")[0]) >= _NOT_FROM or not self.org.options.soap_login:
            raise Fault("INVALID_OPERATION", "SOAP API login() is disabled by default in this org.", "ApiFault")
        if not self.org.knows(_text(call, "username"), _text(call, "password")):
            raise Fault("INVALID_LOGIN", _WRONG_LOGIN, "LoginFault")
        base = f"{request.url.scheme}://{request.url.netloc}/services/Soap"
        kind, short = request.path_params["kind"], ORG_ID[:15]
        user = {
            "accessibilityMode": "false", "currencySymbol": None, "orgAttachmentFileSizeLimit": "26214400",
            "orgDefaultCurrencyIsoCode": "USD", "orgDefaultCurrencyLocale": "en_US", "orgDisallowHtmlAttachments": "false",
            "orgHasPersonAccounts": str(self.store.person_accounts).lower(), "organizationId": ORG_ID, "organizationMultiCurrency": "true",
            "organizationName": "Sandbox", "profileId": "00e000000000000AAA", "roleId": None, "sessionSecondsValid": str(int(self.org.options.token_seconds)),
            "userDefaultCurrencyIsoCode": "USD", "userEmail": credentials.SALESFORCE["username"], "userFullName": self.store.value(self.store.me, "Name"),
            "userId": self.store.me, "userLanguage": "en_US", "userLocale": "en_US", "userName": credentials.SALESFORCE["username"],
            "userTimeZone": "America/New_York", "userType": "Standard", "userUiSkin": "Theme3",
        }  # fmt: skip
        top = {"metadataServerUrl": f"{base}/m/{version}/{short}", "passwordExpired": "false", "sandbox": "false",
               "serverUrl": f"{base}/{kind}/{version}/{short}", "sessionId": self.org.open_session(), "userId": self.store.me}  # fmt: skip
        return f"<result>{_elements(top)}<userInfo>{_elements(user)}</userInfo></result>"

    def _in_session(self, head: ElementTree.Element | None, name: str, call: ElementTree.Element) -> str:
        session = (
            ""
            if clock.replaying()
            else next((e.text or "" for e in head.iter() if _name(e) == "sessionId"), "")
            if head is not None
            else ""
        )
        if not clock.replaying() and not self.org.accepts(session):
            raise Fault(
                "INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session. Session not found, missing session hash."
            )
        if not clock.replaying() and not self.org.count_call():
            raise Fault("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        calls: dict[str, Callable[[], str]] = {
            "logout": lambda: self._logout(session),
            "convertLead": lambda: self._each(call, "leadConverts", self._convert),
            "merge": lambda: self._each(call, "request", self._merge),
            "undelete": lambda: self._each(call, "ids", self._undelete),
            "emptyRecycleBin": lambda: self._each(call, "ids", self._purge),
        }
        if name not in calls:
            raise Fault("INVALID_OPERATION", f"The sandbox has no SOAP call {name}.")
        return calls[name]()

    def _logout(self, session: str) -> str:
        self.org.end_session(session)
        return ""

    def _each(self, call: ElementTree.Element, name: str, do: Callable[[ElementTree.Element], str]) -> str:
        results = []
        for part in [child for child in call if _name(child) == name]:
            try:
                results.append(f"<result>{do(part)}</result>")
            except Refused as refused:
                error = _elements({"message": refused.message, "statusCode": refused.code})
                fields = "".join(f"<fields>{escape(f)}</fields>" for f in refused.fields or ())
                results.append(f'<result><errors>{fields}{error}</errors><id xsi:nil="true"/><success>false</success></result>')
        return "".join(results)

    def _convert(self, part: ElementTree.Element) -> str:
        _, lead = self._find(_text(part, "leadId"), "Lead")
        if self.store.value(lead, "IsConverted"):
            raise Refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
        account, contact = (
            self._find(given, name)[1] if (given := _text(part, f"{name.lower()}Id")) else None for name in ("Account", "Contact")
        )  # fmt: skip
        opportunity = None if _text(part, "doNotCreateOpportunity") == "true" else _text(part, "opportunityName") or ""
        done = self.store.convert_lead(lead, clock.now(), account=account, contact=contact, opportunity=opportunity)
        return _elements({"accountId": done[0], "contactId": done[1], "leadId": lead, "opportunityId": done[2], "success": "true"})

    def _merge(self, part: ElementTree.Element) -> str:
        master = next((child for child in part if _name(child) == "masterRecord"), None)
        losers = [child.text or "" for child in part if _name(child) == "recordToMergeIds"]
        records, winner = self._find(_text(master, "Id") if master is not None else None)
        if not records.spec.mergeable or not 1 <= len(losers) <= MOST_MERGED:
            raise Refused(400, "INVALID_ID_FIELD", "cannot merge records of this type, or as many", [])
        ids = [self._find(loser, records.spec.name)[1] for loser in losers]
        if winner in ids:
            raise Refused(400, "INVALID_ID_FIELD", "cannot merge a record with itself", [])
        values = {_name(e): e.text for e in master or () if _name(e) not in ("type", "Id", "fieldsToNull") and e.text}
        if values:
            self.writer.update(records.spec, winner, values)
        moved = [child for loser in ids for child in self.store.merge(winner, loser, clock.now())]
        many = "".join(f"<mergedRecordIds>{i}</mergedRecordIds>" for i in ids)
        return f"<id>{winner}</id>{many}<success>true</success>" + "".join(f"<updatedRelatedIds>{i}</updatedRelatedIds>" for i in moved)

    def _undelete(self, part: ElementTree.Element) -> str:
        records, number = self._binned(part.text)
        if not records.spec.undeletable or records.value(number, "MasterRecordId") is not None:
            raise Refused(400, "UNDELETE_FAILED", "Entity is not in the recycle bin", [])
        self.store.undelete(records.id(number), clock.now())
        return f"<id>{records.id(number)}</id><success>true</success>"

    def _purge(self, part: ElementTree.Element) -> str:
        records, number = self._binned(part.text)
        record_id = records.id(number)
        self.store.purge(record_id)
        return f"<id>{record_id}</id><success>true</success>"

    def _binned(self, text: str | None) -> tuple[Records, int]:
        found = self.store.find((text or "").strip())
        if found is None or found[1] not in found[0].deleted:
            raise Refused(400, "UNDELETE_FAILED", "Entity is not in the recycle bin", [])
        return found

    def _find(self, text: str | None, name: str | None = None) -> tuple[Records, str]:
        """A live record, of an object if one is named, and its id."""
        found = self.store.find((text or "").strip())
        if found is None or (name is not None and found[0].spec.name != name):
            raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if found[1] in found[0].deleted:
            raise Refused(400, "ENTITY_IS_DELETED", "entity is deleted", [])
        return found[0], found[0].id(found[1])


def _envelope(body: bytes) -> tuple[ElementTree.Element | None, ElementTree.Element]:
    """Header and call of a request. Raises Fault."""
    try:
        parts = {_name(child): child for child in read_body_xml(body)}
        return parts.get("Header"), parts["Body"][0]
    except (ElementTree.ParseError, KeyError, IndexError, ValueError):
        raise Fault("INVALID_SOAP", "The request is no SOAP envelope with a call in its body.", "ApiFault") from None


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(parent: ElementTree.Element, name: str) -> str | None:
    return next((child.text for child in parent if _name(child) == name), None)


def _elements(values: dict[str, Any]) -> str:
    return "".join(f'<{k} xsi:nil="true"/>' if v is None else f"<{k}>{escape(str(v))}</{k}>" for k, v in values.items())


def _fault(fault: Fault, namespace: str) -> str:
    # A login's fault has the bare code, the others one with a prefix, as recorded and documented.
    prefix = "" if fault.kind == "LoginFault" else "sf:"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:sf="{"urn:fault." + namespace.removeprefix("urn:")}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f"<soapenv:Fault><faultcode>{prefix}{fault.code}</faultcode><faultstring>{fault.code}: {escape(fault.message)}</faultstring><detail>"
        f'<sf:{fault.kind} xsi:type="sf:{fault.kind}"><sf:exceptionCode>{fault.code}</sf:exceptionCode><sf:exceptionMessage>'
        f"{escape(fault.message)}</sf:exceptionMessage></sf:{fault.kind}></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )


def _xml(text: str, status: int) -> Response:
    return Response(text.encode(), status, media_type="text/xml; charset=UTF-8")
