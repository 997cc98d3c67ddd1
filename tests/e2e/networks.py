"""
A network between the exporter and a vendor that a test can cut.

The real one: two network namespaces, the exporter's and the vendor's, joined by a virtual cable. Making them takes
root's rights. Where those are missing, a proxy on the loopback forwards nothing while the network is cut, and a warning
says so, since that is the weaker test: the exporter's kernel gets rid of every byte at once, so that it holds nothing
that it could still send when the network is back.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal, Protocol

from tests.programs import find_program

How = Literal["link down", "silence"]
"""The vendor's end of the cable is down, which its other end notices; or packets get lost, which nobody notices."""

_EXPORTER, _VENDOR, _BITS = "192.0.2.1", "192.0.2.2", 30
_NOBODY = "02:00:00:00:00:99"
_CHUNK = 64 * 1024
_numbers = itertools.count(1)


class NoNamespacesWarning(UserWarning):
    """A proxy stood in for a network that could not be made here."""


class Network(Protocol):
    """
    Attributes:
        vendor_host: The address that the vendor shall listen on.
        exporter_runs_in, vendor_runs_in: What to write before a command that shall run on that side.
    """

    vendor_host: str
    exporter_runs_in: Sequence[str]
    vendor_runs_in: Sequence[str]

    async def way_to(self, port: int) -> str:
        """Where the exporter reaches the vendor that listens on that port, as `host:port`."""
        ...

    async def cut(self, how: How) -> None:
        """From now on nothing gets through."""
        ...

    async def mend(self, how: How) -> None:
        """All is as it was."""
        ...


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """
    A network until the block ends; everything that runs in it must have ended by then.
    """
    try:
        made = await _Namespaces.make()
    except PermissionError as error:
        warnings.warn(f"no network namespace could be made, so a proxy stood in: {error}", NoNamespacesWarning, 2)
        proxy = _Proxy()
        try:
            yield proxy
        finally:
            await proxy.close()
    else:
        try:
            yield made
        finally:
            await made.remove()


class _Namespaces:
    """Two network namespaces and the cable between them."""

    def __init__(self, exporter: str, vendor: str) -> None:
        self._exporter, self._vendor = exporter, vendor
        self.vendor_host = _VENDOR
        self.exporter_runs_in: Sequence[str] = (_program(), "netns", "exec", exporter)
        self.vendor_runs_in: Sequence[str] = (_program(), "netns", "exec", vendor)

    @classmethod
    async def make(cls) -> _Namespaces:
        """
        Raises:
            PermissionError: The kernel does not let this user.
        """
        number = next(_numbers)
        exporter, vendor = (f"rtc-{os.getpid()}-{number}-{side}" for side in ("exporter", "vendor"))
        await _ip("netns", "add", exporter)
        made = cls(exporter, vendor)
        try:
            await _ip("netns", "add", vendor)
            await _ip("-n", exporter, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", vendor)
            for side, address in ((exporter, _EXPORTER), (vendor, _VENDOR)):
                await _ip("-n", side, "address", "add", f"{address}/{_BITS}", "dev", "cable")
                for device in ("lo", "cable"):
                    await _ip("-n", side, "link", "set", device, "up")
        except BaseException:
            await made.remove()
            raise
        return made

    async def remove(self) -> None:
        """The cable goes with its ends."""
        for side in (self._exporter, self._vendor):
            with suppress(OSError):
                await _ip("netns", "delete", side)

    async def way_to(self, port: int) -> str:
        return f"{self.vendor_host}:{port}"

    async def cut(self, how: How) -> None:
        if how == "link down":
            await _ip("-n", self._vendor, "link", "set", "cable", "down")
            return
        for side, peer in self._directions():
            await _ip(
                *("-n", side, "neighbour", "replace", peer, "lladdr", _NOBODY, "dev", "cable", "nud", "permanent")
            )

    async def mend(self, how: How) -> None:
        if how == "link down":
            await _ip("-n", self._vendor, "link", "set", "cable", "up")
            return
        for side, peer in self._directions():
            await _ip("-n", side, "neighbour", "delete", peer, "dev", "cable")

    def _directions(self) -> tuple[tuple[str, str], ...]:
        return (self._exporter, _VENDOR), (self._vendor, _EXPORTER)


class _Proxy:
    """
    Forwards bytes in both directions unless the network is cut.

    What was sent on a connection that is given up during a cut is lost with it. Through a real cut no connection can be
    made; here the kernel makes it, so it is ended when the cut is over.
    """

    def __init__(self) -> None:
        self.vendor_host = "127.0.0.1"
        self.exporter_runs_in: Sequence[str] = ()
        self.vendor_runs_in: Sequence[str] = ()
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._vendor_port = 0

    async def way_to(self, port: int) -> str:
        self._vendor_port = port
        self._server = await asyncio.start_server(self._join, self.vendor_host, 0)
        return f"{self.vendor_host}:{self._server.sockets[0].getsockname()[1]}"

    async def cut(self, how: How) -> None:
        """However it is cut, this is all that a proxy can do."""
        self._whole.clear()

    async def mend(self, how: How) -> None:
        self._whole.set()

    async def close(self) -> None:
        """Every connection ends."""
        self._whole.set()
        if self._server:
            self._server.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole.is_set():
            await self._whole.wait()
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(self.vendor_host, self._vendor_port)
        await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while received := await reader.read(_CHUNK):
                await self._whole.wait()
                if reader.at_eof():
                    break
                writer.write(received)
        writer.close()


async def _ip(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(_program(), *arguments, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    if process.returncode:
        words = f"ip {' '.join(arguments)}: {complaint.decode(errors='replace').strip()}"
        raise PermissionError(words) if "ermi" in words else OSError(words)


def _program() -> str:
    return str(find_program("ip"))
