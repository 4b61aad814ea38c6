"""How connections to the CRMs are encrypted: TLS 1.2 or later, the certificate and its host name always verified. There is no setting to turn it off."""

from __future__ import annotations

import ssl

import httpx2


def context() -> ssl.SSLContext:
    """The TLS context of a client. A company's own certificate authority is added as everywhere, by `SSL_CERT_FILE` or `SSL_CERT_DIR`."""
    made = httpx2.create_ssl_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = True
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def refusal(error: BaseException) -> tuple[str, str] | None:
    """What is wrong with the other side's encryption, and the remedy, where that is why a connection failed; trying again would not help."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, ssl.SSLError):
        below = below.__cause__ or below.__context__
    if isinstance(below, ssl.SSLCertVerificationError):
        why = below.verify_message.rstrip(".") or "not trusted"
        return f"shows a certificate that is not accepted ({why})", (
            "Check the host name in the settings and this machine's clock. A company's own certificate authority goes into SSL_CERT_FILE; "
            "verification cannot be turned off."
        )
    # Others of these errors come from connections that are cut, which may pass.
    if isinstance(below, ssl.SSLError) and below.reason and ("PROTOCOL_VERSION" in below.reason or "UNSUPPORTED_PROTOCOL" in below.reason):
        return "does not speak TLS 1.2 or later", "Check the host name in the settings, and any proxy between."
    return None
