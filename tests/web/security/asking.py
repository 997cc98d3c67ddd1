"""
A client for guarded ports, with all that a TLS client can be told.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path

from tests.web.security.rows import ANSWERED, DATA, Client


@dataclass(frozen=True)
class Answer:
    """
    An answer.

    Args:
        serial: Of the server's certificate, in hex; empty without TLS.
    """

    status: int
    reason: str
    headers: dict[str, str]
    text: str
    cipher: str = ""
    serial: str = ""


def trusting(ca_file: Path) -> ssl.SSLContext:
    """
    A client's context that trusts each certificate of a file.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def context_of(client: Client) -> ssl.SSLContext:
    """
    What a row's client speaks.
    """
    # OpenSSL finds the chain beside it unfit for servers, since its EKU says "any" alone; Go does not mind.
    context = trusting(DATA / "server.crt")
    if client.certificate:
        context.load_cert_chain(DATA / f"{client.certificate}.pem", DATA / f"{client.certificate}.key")
    if client.ciphers:
        context.set_ciphers(client.ciphers)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if client.curve:
        context.set_ecdh_curve(client.curve)
    if client.version:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion[client.version]
    return context


def ask(
    port: int,
    context: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
    path: str = "/-/healthy",
    authorization: str | None = None,
) -> Answer:
    """
    One request on a connection of its own; blocks.
    """
    if context is None:
        connection = http.client.HTTPConnection("localhost", port, timeout=30)
    else:
        connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
    headers = {"Authorization": authorization} if authorization else {}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    try:
        connection.request("GET", path, headers=headers)
        spoken = connection.sock
        cipher = serial = ""
        if isinstance(spoken, ssl.SSLSocket):
            cipher = (spoken.cipher() or ("",))[0]
            serial = str((spoken.getpeercert() or {}).get("serialNumber", ""))
        response = connection.getresponse()
        text = response.read().decode()
        return Answer(response.status, response.reason, dict(response.getheaders()), text, cipher, serial)
    finally:
        connection.close()


def outcome(port: int, client: Client) -> str:
    """
    What a row's client meets, in the words of the rows; blocks.
    """
    login = (client.user, client.password) if client.user else None
    told = ""
    for _ in range(client.requests + 1):
        try:
            answer = ask(port, context_of(client) if client.tls else None, login)
        except ssl.SSLError as error:
            reason = (error.reason or "").lower()
            if "wrong_version_number" in reason:
                return "no TLS spoken"
            if "alert_" in reason:
                return f"alert: {reason.partition('alert_')[2].replace('_', ' ')}"
            return "connection closed" if "eof" in reason else reason
        except (http.client.RemoteDisconnected, ConnectionError):
            return "connection closed"
        if client.cipher:
            assert client.cipher == answer.cipher
        told = ANSWERED if answer.status == 200 else f"{answer.status} {answer.reason}"
        if told != ANSWERED:
            return told
    return told
