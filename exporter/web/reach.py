"""Who can reach the port, and what protects it. ``run`` logs this at its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from exporter.web.security.config import TLS


@dataclass(frozen=True, slots=True)
class Reach:
    """
    Who can reach the port.

    Args:
        is_open: Whether anybody on another machine gets answers, without a password or a client certificate.
        values: The details as values of a log line.
    """

    is_open: bool
    values: dict[str, str]


def reach(host: str, port: int, guards: Sequence[str], *, lifecycle: bool) -> Reach:
    """
    Describe who can reach a listening socket.

    Args:
        host: The IP address that the socket is bound to.
        guards: The protections of the port, from ``WebConfig.guards``.
        lifecycle: Whether reloading over HTTP is allowed.
    """
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        clients = "programs on this machine"
    elif address.is_unspecified:
        clients = "everybody with a route to this machine"
    else:
        clients = f"everybody with a route to {address}"
    return Reach(
        is_open=not address.is_loopback and not {*guards} - {TLS},
        values={
            "address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "reachable_by": clients,
            "guarded_by": _words(guards),
            "allows": "reading rooms and counts, reloading" if lifecycle else "reading rooms and counts",
        },
    )


def _words(guards: Sequence[str]) -> str:
    if not guards:
        return "nothing: no TLS, no password"
    if [*guards] == [TLS]:
        return "TLS alone: no password, no client certificate"
    return " and ".join(guards)
