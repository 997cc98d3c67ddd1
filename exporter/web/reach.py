"""Who can reach the port, and what keeps them out: the first line that ``run`` logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from exporter.web.security.config import TLS


@dataclass(frozen=True, slots=True)
class Reach:
    """
    Who can do what.

    Args:
        is_open: Whether a stranger, on another machine, is answered.
        values: The same in words, for a line of the log.
    """

    is_open: bool
    values: dict[str, str]


def reach(host: str, port: int, guards: Sequence[str], *, lifecycle: bool) -> Reach:
    """
    Who can reach a listening socket, and what guards it.

    Args:
        host: The IP address that the socket is bound to.
        guards: What a client needs besides a way to the port, as ``WebConfig.guards`` names it.
        lifecycle: Whether clients may ask for a reload.
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
