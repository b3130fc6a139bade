"""The CA certificates that requests trust, and the explanation of certificates that they don't."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import httpx

from mosaic_deploy.errors import CertificatesInvalid

_UNREAD_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Other programs' names for SSL_CERT_FILE."""


def trusted_certificates() -> ssl.SSLContext:
    """The context for TLS: SSL_CERT_FILE or SSL_CERT_DIR if set, else those of certifi. Raises CertificatesInvalid."""
    variable = _variable()
    folder = os.environ.get("SSL_CERT_DIR", "") if variable == "SSL_CERT_DIR" else ""
    try:
        # OpenSSL ignores a missing folder, and would trust nothing.
        if folder and not any(Path(folder).iterdir()):
            raise _unusable(variable, "the folder is empty")
        return httpx.create_ssl_context()
    except ssl.SSLError as error:
        raise _unusable(variable, f"no certificates in it ({error.reason or error})") from None
    except OSError as error:
        raise _unusable(variable, error.strerror or str(error)) from None


def without_certificates() -> ssl.SSLContext:
    """A context that trusts nothing, for connections without TLS."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def certificate_error(error: BaseException, host: str) -> CertificatesInvalid | None:
    """The error for a certificate that was rejected, if that is what `error` is about."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    reason = cause.verify_message or str(cause)
    return CertificatesInvalid(
        f"the certificate of {host} isn't trusted: {reason}", hint=_distrust_hint(reason)
    )


def _distrust_hint(reason: str) -> str:
    if "expired" in reason or "not yet valid" in reason:
        return "check this machine's clock, and whether a proxy replaces certificates"
    if "mismatch" in reason:
        return "check MOSAIC_API_URL, and whether a proxy answers instead of that host"
    if variable := _variable():
        return f"{variable} is {os.environ[variable]}; it must contain the CA of that certificate. Correct it, or unset it"
    for name in _UNREAD_VARIABLES:
        if os.environ.get(name):
            return f"{name} isn't read; set SSL_CERT_FILE to the same file"
    return "if a proxy or firewall replaces certificates, set SSL_CERT_FILE to a file with its CA certificate"


def _variable() -> str:
    """The variable that selects the certificates, empty for certifi's."""
    return next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "")


def _unusable(variable: str, reason: str) -> CertificatesInvalid:
    if not variable:
        return CertificatesInvalid(
            f"the CA certificates of the package certifi can't be read: {reason}",
            hint="install certifi again, or set SSL_CERT_FILE to a file with CA certificates",
        )
    return CertificatesInvalid(
        f"{variable} can't be used: {os.environ[variable]}: {reason}",
        hint=f"set {variable} to CA certificates in PEM format, or unset it",
    )
