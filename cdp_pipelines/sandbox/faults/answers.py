"""The vendors' own error answers, as faults give them. Sources: the vendors' error code pages, recorded answers and public issues."""

from __future__ import annotations

from html import escape

import orjson
from starlette.responses import Response

from cdp_pipelines.sandbox.faults.calls import Call
from cdp_pipelines.sandbox.hubspot import errors as hubspot
from cdp_pipelines.sandbox.marketo.envelope import HEADERS, ApiError, failure
from cdp_pipelines.sandbox.salesforce import replies as salesforce

# Salesforce's errorCode: HTTP status and message. Approximated: INVALID_QUERY_LOCATOR and, but for NOT_ACCEPTABLE, the last seven.
SALESFORCE_ERRORS = {
    "UNABLE_TO_LOCK_ROW": (400, "unable to obtain exclusive access to this record or 1 records"),
    "QUERY_TIMEOUT": (400, "Your query request was running for too long."),
    "OPERATION_TOO_LARGE": (400, "exceeded 100000 distinct who/what's"),
    "INVALID_QUERY_LOCATOR": (400, "invalid query locator"),
    "INVALID_SESSION_ID": (401, "Session expired or invalid"),
    "STORAGE_LIMIT_EXCEEDED": (400, "storage limit exceeded"),
    "TXN_SECURITY_METERING_ERROR": (400, "We can't complete the action because enabled transaction security policies took too long."),
    "ENTITY_IS_LOCKED": (400, "the entity is locked for editing"),
    "NOT_ACCEPTABLE": (406, "CustomNotAcceptable"),
    "VERSION_MISMATCH": (409, "The API version of this request differs from the job's."),
    "UNKNOWN_EXCEPTION": (500, "An unexpected error occurred. Please include this ErrorId if you contact support"),
    "SERVER_UNAVAILABLE": (503, "Server is too busy. Please try again later."),
}
# HubSpot's category: HTTP status and message.
HUBSPOT_ERRORS = {
    "INTERNAL_ERROR": (500, "internal error"),
    "VALIDATION_ERROR": (400, "There was a problem with the request."),
    "OBJECT_NOT_FOUND": (404, "Object not found.  objectId are usually numeric."),
    "CONFLICT": (409, "Contact already exists"),
    "INVALID_AUTHENTICATION": (530, "Authentication credentials not found."),
    "FORBIDDEN": (403, "You do not have permissions to view object type CONTACT."),
}
# Marketo's codes that concern a whole request (vendor's error code page), and those that exports meet.
MARKETO_ERRORS = {
    "601": "Access token invalid", "602": "Access token expired", "603": "Access denied", "604": "Request timed out",
    "606": "Max rate limit '100' exceeded with in '20' secs", "607": "Daily quota reached", "608": "API Temporarily Unavailable",
    "609": "Invalid JSON", "610": "Requested resource not found", "611": "System error", "612": "Invalid Content Type",
    "614": "Invalid Subscription", "615": "Concurrent access limit '10' reached", "702": "No data found", "713": "Transient Error",
    "1018": "CRM Enabled", "1029": "Export daily quota 500MB exceeded.", "1035": "Unsupported filter type for target subscription: updatedAt",
}  # fmt: skip


def codes(crm: str) -> list[str]:
    """The codes that the fault `error` knows for a CRM."""
    return list({"salesforce": SALESFORCE_ERRORS, "hubspot": HUBSPOT_ERRORS, "marketo": MARKETO_ERRORS}[crm])


def vendor_error(call: Call, code: str, message: str = "", status: int | None = None) -> Response:
    """One of the codes above, in the vendor's form; message and status may be others."""
    if call.crm == "salesforce":
        known = SALESFORCE_ERRORS.get(code, (400, ""))
        return salesforce_error(call, status or known[0], code, message or known[1])
    if call.crm == "hubspot":
        known = HUBSPOT_ERRORS.get(code, (400, ""))
        return hubspot.Refused(status or known[0], message or known[1], code).response()
    return failure(ApiError(int(code), message or MARKETO_ERRORS.get(code, ""), status or 200))


def salesforce_error(call: Call, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the form of the API that was called: REST's list, Bulk 1.0's exception (always HTTP 400) or a SOAP fault."""
    if call.path.startswith("/services/Soap/"):
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            f'xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode>'
            f"<faultstring>{code}: {escape(message)}</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
        )
        return Response(body, 500, media_type="text/xml")
    if call.path.startswith("/services/async/"):
        name = {"INVALID_SESSION_ID": "InvalidSessionId", "REQUEST_LIMIT_EXCEEDED": "ExceededQuota"}.get(code, code)
        if "json" in call.header("content-type"):
            return Response(orjson.dumps({"exceptionCode": name, "exceptionMessage": message}), 400, media_type="application/json")
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><error xmlns="http://www.force.com/2009/06/asyncapi/dataload">'
            f"<exceptionCode>{name}</exceptionCode><exceptionMessage>{escape(message)}</exceptionMessage></error>"
        )
        return Response(body, 400, media_type="application/xml")
    made = salesforce.Refused(status, code, message).reply()
    made.headers.update(headers or {})
    return made


def sign_in_refused(call: Call) -> Response:
    """What a token endpoint answers a client whose access was taken away."""
    if call.path.startswith("/services/Soap/"):
        return salesforce_error(call, 500, "INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    if call.crm == "marketo":
        return Response(orjson.dumps({"error": "invalid_client", "error_description": "Bad client credentials"}), 401, HEADERS)
    return Response(
        orjson.dumps({"error": "invalid_grant", "error_description": "expired access/refresh token"}), 400, media_type="application/json"
    )


def broken(call: Call, status: int) -> Response:
    """A server's or its gateway's error. JSON where the vendor's application itself answers, a page where something before it does."""
    if call.crm == "salesforce" and status in (500, 503):
        code = {500: "UNKNOWN_EXCEPTION", 503: "SERVER_UNAVAILABLE"}[status]
        return salesforce_error(call, status, code, SALESFORCE_ERRORS[code][1])
    if call.crm == "hubspot" and status == 500:
        return hubspot.Refused(500, "internal error").response()
    return web_page(call, status, {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}.get(status, f"Error {status}"))


def web_page(call: Call, status: int, title: str) -> Response:
    """A page where JSON was asked for."""
    by = {"salesforce": "Salesforce", "hubspot": "cloudflare", "marketo": "nginx"}[call.crm]
    shown = f"{status} {title}" if status >= 400 else title
    body = f"<html>\r\n<head><title>{shown}</title></head>\r\n<body>\r\n<center><h1>{shown}</h1></center>\r\n<hr><center>{by}</center>\r\n"
    return Response(f"{body}</body>\r\n</html>\r\n", status, media_type="text/html")
