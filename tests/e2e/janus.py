"""
A real Janus server: Debian's package with the video room plugin and the HTTP transport, and no media.
"""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.benchmarks.exporter import free_port
from tests.programs import find_program

ADMIN_SECRET = "admin secret of a test"
ADMIN_KEY = 'key "of" a test'
_ROOM_SECRET = "secret of rooms"
_LIBRARIES = {"plugins": "libjanus_videoroom.so", "transports": "libjanus_http.so"}


class Janus:
    """
    The server, with a folder of its own and on free ports of 127.0.0.1.

    Args:
        string_ids: Whether ids of rooms are text there, and not numbers.
        plugin: Whether the video room plugin is loaded.
    """

    def __init__(self, folder: Path, *, string_ids: bool = False, plugin: bool = True) -> None:
        self._folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self._process: asyncio.subprocess.Process | None = None
        self._client: aiohttp.ClientSession | None = None
        for name in ("plugins", "transports", "events", "loggers"):
            (folder / name).mkdir()
        for name, library in _LIBRARIES.items():
            (found,) = [*Path("/usr/lib").glob(f"*/janus/{name}/{library}")][:1]
            if plugin or name != "plugins":
                (folder / name / library).symlink_to(found)
        self._write("janus.jcfg", "general", admin_secret=ADMIN_SECRET, **self._folders())
        self._write("janus.plugin.videoroom.jcfg", "general", admin_key=ADMIN_KEY, string_ids=string_ids)
        http = {"http": True, "https": False, "ip": "127.0.0.1", "port": self.port}
        admin = {f"admin_{key}": self.admin_port if key == "port" else value for key, value in http.items()}
        self._write("janus.transport.http.jcfg", "general", **http)
        self._write("janus.transport.http.jcfg", "admin", **admin)

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession()
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        assert self._client
        await self._client.close()

    @property
    def log(self) -> str:
        """
        Everything that it printed so far.
        """
        return (self._folder / "janus.log").read_text(encoding="utf-8", errors="replace")

    async def start(self) -> None:
        """
        Start it, and wait until it answers.
        """
        program = find_program("janus")
        assert program
        with (self._folder / "janus.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                program,
                f"--configs-folder={self._folder}",
                f"--config={self._folder / 'janus.jcfg'}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(200):
            assert self._process.returncode is None, self.log
            try:
                await self._post(f"{self.admin_url}/admin", {"janus": "ping", "transaction": "t"})
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError(self.log)

    async def kill(self) -> None:
        """
        End it without a farewell.
        """
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def create(self, room: int | str, **more: object) -> None:
        """
        Make a room.
        """
        await self._plugin("created", request="create", room=room, admin_key=ADMIN_KEY, secret=_ROOM_SECRET, **more)

    async def destroy(self, room: int | str) -> None:
        """
        End a room, with whoever is in it.
        """
        await self._plugin("destroyed", request="destroy", room=room, secret=_ROOM_SECRET)

    async def session(self) -> Client:
        """
        A user's client.
        """
        created = await self._post(self._url(), {"janus": "create", "transaction": "t"})
        return Client(self, created["data"]["id"])

    async def _plugin(self, expected: str, **request: object) -> None:
        answer = await self._post(
            f"{self.admin_url}/admin",
            {
                "janus": "message_plugin",
                "transaction": "t",
                "admin_secret": ADMIN_SECRET,
                "plugin": "janus.plugin.videoroom",
                "request": request,
            },
        )
        assert expected == answer["response"]["videoroom"], answer

    def _url(self, *ids: int) -> str:
        return "/".join([f"http://127.0.0.1:{self.port}/janus", *map(str, ids)])

    async def _post(self, url: str, document: object) -> Any:
        assert self._client
        async with self._client.post(url, json=document) as response:
            return json.loads(await response.read())

    def _folders(self) -> dict[str, str]:
        names = ("plugins", "transports", "events", "loggers")
        return {"configs_folder": str(self._folder), **{f"{name}_folder": str(self._folder / name) for name in names}}

    def _write(self, name: str, part: str, **settings: object) -> None:
        lines = "".join(f"  {key} = {json.dumps(value)}\n" for key, value in settings.items())
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(f"{part}: {{\n{lines}}}\n")


class Client:
    """
    One user's session at the server.
    """

    def __init__(self, janus: Janus, session: int) -> None:
        self._janus, self._session = janus, session
        self._handle = 0

    async def join(self, room: int | str, ptype: str = "publisher") -> None:
        """
        Enter a room, without any media.
        """
        attach = {"janus": "attach", "plugin": "janus.plugin.videoroom", "transaction": "t"}
        attached = await self._janus._post(self._janus._url(self._session), attach)
        self._handle = attached["data"]["id"]
        body = {"request": "join", "ptype": ptype, "room": room, "display": "a user's name"}
        await self._message(body)

    async def leave(self) -> None:
        """
        Leave the room.
        """
        await self._message({"request": "leave"})

    async def vanish(self) -> None:
        """
        End the session as a whole.
        """
        await self._janus._post(self._janus._url(self._session), {"janus": "destroy", "transaction": "t"})

    async def _message(self, body: object) -> None:
        message = {"janus": "message", "transaction": "t", "body": body}
        answer = await self._janus._post(self._janus._url(self._session, self._handle), message)
        assert "ack" == answer["janus"], answer
