"""
The client of http_sd: what it asks, what it takes, and what it keeps to itself.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aioresponses import aioresponses
from yarl import URL

from exporter import __version__
from exporter.config.discovery import HttpSdConfig
from exporter.config.rooms import NO_DEFAULTS
from exporter.model import Room
from exporter.rooms.http_sd import HttpSd
from exporter.rooms.provider import Listing, Origin, Result
from exporter.vendors import APIS
from exporter.vendors.source import Certificates, Secret
from tests.measuring import best
from tests.mocked import MockedResponse
from tests.rooms.backend import Answer, Backend, Seen

RULE = APIS["zego_zim"].room_ids
REPLIES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "http_sd.json").read_text())["replies"]
JSON = {"Content-Type": "application/json"}
SECRET = "s3cr3t-t0k3n"
_TOO_LARGE = "found a body over 1,048,576 bytes; accepted: up to 1,048,576 bytes"


@asynccontextmanager
async def provider(url: str, **options: Any) -> AsyncIterator[HttpSd]:
    """
    A provider that is closed at the end.
    """
    made = HttpSd(HttpSdConfig("http_sd", url, **options), RULE, NO_DEFAULTS)
    try:
        yield made
    finally:
        await made.aclose()


async def refreshed(url: str, **options: Any) -> Listing:
    """
    What one refresh ends in.
    """
    async with provider(url, **options) as asked:
        return await asked.refresh()


async def refusal(url: str, **options: Any) -> str:
    """
    Why a refresh fails; it names no rooms then.
    """
    listing = await refreshed(url, **options)
    assert (Result.FAILED, {}) == (listing.result, dict(listing.rooms))
    assert listing.error
    assert "\n" not in listing.error
    return listing.error


def listing_of(*room_ids: str, **headers: str) -> Answer:
    """
    An answer that lists these rooms.
    """
    return Answer(json.dumps([{"targets": room_ids}]).encode(), headers=JSON | headers)


def redirect(to: str, status: int = 302) -> Answer:
    """
    An answer that leads elsewhere.
    """
    return Answer(b"", f"{status} Found", {"Location": to})


@pytest.fixture
def mocked() -> Iterator[aioresponses]:
    """
    Answers in place of a server.
    """
    with aioresponses() as answers:
        yield answers


async def test_a_request_is_the_one_that_prometheus_makes(mocked: aioresponses) -> None:
    """
    With its headers; there is no Authorization where none is configured.
    """
    mocked.get("http://backend/rooms?of=live", body=b'[{"targets":["a"]}]', response_class=MockedResponse)
    listing = await refreshed("http://backend/rooms?of=live", refresh_interval=4.0)
    (call,) = mocked.requests["GET", URL("http://backend/rooms?of=live")]
    assert (Result.COMPLETE, {"a": Room("a")}, None, None) == (
        listing.result,
        listing.rooms,
        listing.error,
        listing.warning,
    )
    assert {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": f"rtc-room-exporter/{__version__}",
        "X-Prometheus-Refresh-Interval-Seconds": "4",
    } == call.kwargs["headers"]


async def test_a_provider_says_who_it_is() -> None:
    """
    Origin, name and interval come from the config, and the listing has the time at which it was asked for.
    """
    asked = HttpSd(HttpSdConfig("http_sd/1", "http://backend/", 2.5), RULE, NO_DEFAULTS, lambda: 17.0)
    with aioresponses() as mocked:
        mocked.get("http://backend/", body=b"[]", response_class=MockedResponse)
        listing = await asked.refresh()
    await asked.aclose()
    assert (Origin.HTTP_SD, "http_sd/1", 2.5) == (asked.origin, asked.name, asked.interval)
    assert Listing(Result.COMPLETE, 17.0, {}) == listing


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: str(reply["name"]))
async def test_replies_that_a_real_prometheus_was_given(reply: dict[str, Any]) -> None:
    """
    Status, content type and body over the wire: what Prometheus took is taken, but for what would name other rooms.
    """
    body = bytes.fromhex(reply["body_hex"]) if "body_hex" in reply else reply["body"].encode()
    headers = {} if reply["content_type"] is None else {"Content-Type": reply["content_type"]}
    async with Backend(Answer(body, f"{reply['status']} Some Reason", headers)) as backend:
        listing = await refreshed(backend.url)
    good = reply["accepted"] and "refused_here" not in reply
    assert (Result.COMPLETE if good else Result.FAILED) == listing.result
    assert list(zip(reply["targets"], reply["labels"], strict=True)) == [
        (room.id, dict(room.labels)) for room in listing.rooms.values()
    ]


@pytest.mark.parametrize("status", [201, 202, 203, 206, 300, 304, 404, 418, 500, 503])
async def test_no_status_but_200_is_good(status: int) -> None:
    """
    304 is not good either if nobody asked for it.
    """
    async with Backend(replace(listing_of("a"), body=b"", status=f"{status} x")) as backend:
        assert f"{backend.url}: found status {status}; accepted: 200" == await refusal(f"{backend.url}/list")


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        (None, "found no content type"),
        ("text/html; charset=utf-8", "found a content type text/html; charset=utf-8"),
        ("application/json; profile=x", "found a content type that is not shown here"),
        ("application/json;charset=utf-8;", "found a content type that is not shown here"),
        ("application/json, application/json", "found a content type that is not shown here"),
    ],
)
async def test_other_content_types_are_told(content_type: str | None, words: str) -> None:
    """
    What was found, if it looks like one, and what is accepted.
    """
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with Backend(Answer(headers=headers)) as backend:
        said = await refusal(backend.url)
    assert f"{backend.url}: {words}; accepted: application/json, with charset utf-8 or without one" == said


async def test_a_list_counts_as_a_whole_and_a_failure_names_nothing() -> None:
    """
    A room that is no longer listed is gone, an empty list empties all, and a failure is no empty list.
    """
    answers = listing_of("a", "b"), listing_of("b"), Answer(b"", "500 x"), listing_of("b", "c"), Answer(b"[]")
    async with Backend(*answers) as backend, provider(backend.url) as asked:
        listings = [await asked.refresh() for _ in answers]
    assert [["a", "b"], ["b"], [], ["b", "c"], []] == [list(listing.rooms) for listing in listings]
    complete, failed = Result.COMPLETE, Result.FAILED
    assert [complete, complete, failed, complete, complete] == [listing.result for listing in listings]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_within_a_server_are_followed_with_credentials(status: int) -> None:
    """
    Relative ones, too.
    """
    async with Backend(redirect("../other?x=1", status), listing_of("a")) as backend:
        listing = await refreshed(f"{backend.url}/a/b", credentials=Secret(SECRET))
    assert ["a"] == list(listing.rooms)
    assert ["/a/b", "/other?x=1"] == [seen.target for seen in backend.seen]
    assert [f"Bearer {SECRET}"] * 2 == [seen.headers["authorization"] for seen in backend.seen]


@pytest.mark.parametrize(
    "options",
    [
        {"credentials": Secret(SECRET)},
        {"username": "us3rname", "password": Secret(SECRET)},
        {"user_in_url": "us3rname:s3cr3t-t0k3n@"},
    ],
    ids=["authorization", "basic_auth", "URL"],
)
async def test_credentials_never_go_to_another_server(options: dict[str, Any]) -> None:
    """
    Not to another port, and not back home either once a redirect led away: who redirects could make us ask anything.
    """
    options = dict(options)
    user = options.pop("user_in_url", "")
    async with (
        Backend(by=lambda seen: redirect(f"{other.url}/x") if seen.target == "/" else listing_of("b")) as home,
        Backend(redirect(f"{home.url}/back")) as other,
    ):
        listing = await refreshed(home.url.replace("//", f"//{user}"), **options)
        assert ["b"] == list(listing.rooms)
        assert ["authorization" in seen.headers for seen in home.seen] == [True, False]
        assert [False] == ["authorization" in seen.headers for seen in other.seen]
        assert all("referer" not in seen.headers for seen in [*home.seen, *other.seen])


async def test_a_user_in_a_redirect_is_not_used() -> None:
    """
    The config alone says who we are.
    """
    async with (
        Backend(listing_of("a")) as other,
        Backend(redirect(other.url.replace("//", "//who:ever@"))) as backend,
    ):
        assert ["a"] == list((await refreshed(backend.url)).rooms)
    assert "authorization" not in other.seen[0].headers


async def test_ten_redirects_are_the_most() -> None:
    """
    A loop ends.
    """
    async with Backend(redirect("/again")) as backend:
        assert "found more than 10 redirects; accepted: at most 10" in await refusal(backend.url)
    assert 11 == len(backend.seen)


@pytest.mark.parametrize("to", ["", "file:///etc/passwd", "http://[", f"ftp://{SECRET}/"])
async def test_a_redirect_to_nowhere_is_refused(to: str) -> None:
    """
    Only http and https are spoken; where it leads is not shown.
    """
    async with Backend(redirect(to)) as backend:
        said = await refusal(backend.url)
    assert "found status 302 without a usable Location; accepted: a redirect to an http(s) URL" in said
    assert SECRET not in said


async def test_redirects_may_be_switched_off() -> None:
    """
    Then one is a status like any other.
    """
    async with Backend(redirect("/x")) as backend:
        assert "found status 302; accepted: 200" in await refusal(backend.url, follow_redirects=False)


async def test_credentials_are_read_anew_for_each_refresh(tmp_path: Path) -> None:
    """
    A rotated token is used at once; a file that is gone fails the refresh, and is not asked for without.
    """
    file = tmp_path / "token"
    file.write_text("one\n")
    async with (
        Backend(listing_of("a")) as backend,
        provider(backend.url, authorization_type="Token", credentials=Secret("zero", str(file))) as asked,
    ):
        await asked.refresh()
        file.write_text("two\n")
        await asked.refresh()
        file.unlink()
        failed = await asked.refresh()
    assert ["Token one", "Token two"] == [seen.headers["authorization"] for seen in backend.seen]
    assert "no such file or directory" in str(failed.error)


async def test_basic_auth_is_sent(tmp_path: Path) -> None:
    """
    From the keys, with a password from its file, or from the URL.
    """
    file = tmp_path / "password"
    file.write_text("pässword")
    async with Backend(listing_of("a")) as backend:
        await refreshed(backend.url, username="me", password=Secret("", str(file)))
        await refreshed(backend.url.replace("//", "//m%65:p%C3%A4ssword@"))
    expected = f"Basic {base64.b64encode('me:pässword'.encode()).decode()}"
    assert [expected] * 2 == [seen.headers["authorization"] for seen in backend.seen]


async def test_gzip_is_read() -> None:
    """
    Also in several members, which some servers write.
    """
    body = json.dumps([{"targets": [f"room{number}" for number in range(50_000)]}]).encode()
    packed = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    async with Backend(Answer(packed, headers=JSON | {"Content-Encoding": "gzip"})) as backend:
        assert 50_000 == len((await refreshed(backend.url)).rooms)


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (gzip.compress(b"[]")[:-4], "gzip", "found a damaged or incomplete body; accepted: gzip"),
        (b"[]", "gzip", "found a damaged or incomplete body; accepted: gzip"),
        (b"", "gzip", "found a damaged or incomplete body; accepted: gzip"),
        (gzip.compress(b"[]") + b"rest", "gzip", "found a damaged or incomplete body; accepted: gzip"),
        (b"[]", "br", "found another content encoding; accepted: gzip, or none"),
        (b"[]", "gzip, gzip", "found another content encoding; accepted: gzip, or none"),
        (
            gzip.compress(b" " * 50_000_000),
            "gzip",
            _TOO_LARGE,
        ),
        (b"[" + b" " * 2**20, "identity", _TOO_LARGE),
    ],
    ids=["cut", "no gzip", "empty", "rest", "br", "twice", "bomb", "large"],
)
async def test_bodies_that_are_refused(body: bytes, encoding: str, words: str) -> None:
    """
    What is damaged, packed otherwise, or larger than allowed, packed or not.
    """
    async with Backend(Answer(body, headers=JSON | {"Content-Encoding": encoding})) as backend:
        assert words in await refusal(backend.url, max_body=2**20)


async def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    """
    Its length is enough to refuse it.
    """
    async with Backend(Answer(b"", headers=JSON | {"Content-Length": "99"}, hangs=True)) as backend:
        assert "found a body over 98 bytes" in await refusal(backend.url, max_body=98)


@pytest.mark.parametrize("body", [b"", b'[{"targets":["a"]}'])
async def test_a_slow_reply_ends_with_the_refresh_interval(body: bytes) -> None:
    """
    However far it has come.
    """
    began = time.perf_counter()
    async with Backend(Answer(body, headers=JSON | {"Content-Length": "99"}, hangs=True)) as backend:
        said = await refusal(backend.url, refresh_interval=0.2)
    assert "no complete reply within 0.2 s" in said
    assert 0.2 <= time.perf_counter() - began < 5


async def test_an_unchanged_list_need_not_be_sent_again() -> None:
    """
    With the entity tag that came last; after a reply without one, nothing is asked for on condition.
    """
    unchanged = Answer(b"", "304 Not Modified", {})
    answers = (
        listing_of("a", ETag='W/"1"'),
        unchanged,
        Answer(b"", "500 x"),
        unchanged,
        listing_of("b"),
        listing_of("c"),
    )
    async with Backend(*answers) as backend, provider(backend.url) as asked:
        listings = [await asked.refresh() for _ in answers]
    assert [["a"], ["a"], [], ["a"], ["b"], ["c"]] == [list(listing.rooms) for listing in listings]
    assert [None, *['W/"1"'] * 4, None] == [seen.headers.get("if-none-match") for seen in backend.seen]


async def test_a_reply_that_breaks_off_is_a_failure() -> None:
    """
    However good its beginning looks; and so is what is no HTTP.
    """
    async with Backend(Answer(b'[{"targets":["a"]}]', headers=JSON | {"Content-Length": "99"})) as backend:
        assert f"{backend.url}: the connection broke amid the reply" == await refusal(backend.url)
    async with Backend(Answer(headers={"Content-Length": "x"})) as backend:
        assert f"{backend.url}: found what is no HTTP; accepted: HTTP/1.1" == await refusal(backend.url)


async def test_a_name_without_an_address_is_told() -> None:
    """
    Without the library's own words.
    """
    url = "http://rooms.invalid"
    assert f"{url}: its host name cannot be resolved" == await refusal(f"{url}/{SECRET}", refresh_interval=60.0)


async def test_where_nobody_listens() -> None:
    """
    What cannot be reached is told in our words, by scheme, host and port alone.
    """
    async with Backend() as backend:
        url = backend.url
    said = await refusal(f"{url.replace('//', f'//user:{SECRET}@')}/{SECRET}?key={SECRET}#{SECRET}")
    assert f"{url}: the connection is refused, or the host cannot be reached" == said


@pytest.mark.parametrize(
    "answer",
    [
        Answer(SECRET.encode(), f"500 {SECRET}", {"Content-Type": SECRET}),
        Answer(SECRET.encode(), headers={"Content-Type": f"text/html; {SECRET}"}),
        Answer(SECRET.encode()),
        Answer(json.dumps([{"targets": [SECRET + "\x07", "a"], "labels": {SECRET: "x"}}]).encode()),
        Answer(b"", headers=JSON | {"Content-Encoding": SECRET}),
    ],
)
async def test_nothing_of_a_reply_or_of_a_secret_is_told(answer: Answer) -> None:
    """
    Neither the path and the query, nor what is sent along, nor the body or a header of the reply.
    """
    async with Backend(answer) as backend:
        said = await refusal(f"{backend.url}/{SECRET}?token={SECRET}", username=SECRET, password=Secret(SECRET))
    assert SECRET not in said


async def test_no_secret_is_in_any_repr() -> None:
    """
    Neither of the provider's config nor of its listing.
    """
    config = HttpSdConfig(
        "http_sd", f"http://u:{SECRET}@backend/", credentials=Secret(SECRET), proxy=f"http://{SECRET}@p"
    )
    assert SECRET not in repr(config)
    assert SECRET not in repr(HttpSd(config, RULE, NO_DEFAULTS))


async def test_a_proxy_is_asked() -> None:
    """
    With its own user, and told of ours in the header for the server alone.
    """
    async with Backend(listing_of("a")) as proxy:
        via = proxy.url.replace("//", "//me:pw@")
        listing = await refreshed("http://backend.example/rooms", proxy=via, credentials=Secret(SECRET))
    assert ["a"] == list(listing.rooms)
    (seen,) = proxy.seen
    assert ("http://backend.example/rooms", f"Bearer {SECRET}", f"Basic {base64.b64encode(b'me:pw').decode()}") == (
        seen.target,
        seen.headers["authorization"],
        seen.headers["proxy-authorization"],
    )


async def test_closing_ends_what_is_under_way() -> None:
    """
    The refresh returns, and later ones do not ask.
    """
    async with Backend(Answer(hangs=True, headers=JSON | {"Content-Length": "9"})) as backend:
        asked = HttpSd(HttpSdConfig("http_sd", backend.url, 600.0), RULE, NO_DEFAULTS)
        refresh = asyncio.create_task(asked.refresh())
        await backend.asked.wait()
        await asked.aclose()
        assert Result.FAILED == (await refresh).result
        assert Result.FAILED == (await asked.refresh()).result
    assert 1 == len(backend.seen)


async def test_who_cancels_a_refresh_is_obeyed() -> None:
    """
    The request ends with it.
    """
    async with (
        Backend(Answer(hangs=True, headers=JSON | {"Content-Length": "9"})) as backend,
        provider(backend.url) as asked,
    ):
        refresh = asyncio.create_task(asked.refresh())
        await backend.asked.wait()
        refresh.cancel()
        with pytest.raises(asyncio.CancelledError):
            await refresh


class House:
    """
    An authority, and files with what it issued.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca_file, self.cert_file, self.key_file = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.issue("exporter@example.org")

    def issue(self, name: str) -> None:
        """
        Another certificate for the client.
        """
        issued = self.authority.issue_cert(name)
        issued.private_key_pem.write_to_path(self.key_file)
        issued.cert_chain_pems[0].write_to_path(self.cert_file)

    def server(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """
        A server of this name that asks for a client's certificate and can do without.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(name).configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    @property
    def trust(self) -> dict[str, Any]:
        """
        The options that make the client trust it.
        """
        return {"ca_file": Certificates(self.ca_file.read_text(), str(self.ca_file))}

    @property
    def identity(self) -> dict[str, Any]:
        """
        The options by which the client shows who it is.
        """
        return {"cert_file": str(self.cert_file), "key_file": str(self.key_file)}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """
    One of its own for each test.
    """
    return House(tmp_path)


async def test_a_server_must_show_a_trusted_certificate(house: House) -> None:
    """
    Of the configured authority, for the host or for ``server_name``; unless nobody is to look.
    """
    async with Backend(listing_of("a"), tls=house.server()) as backend:
        assert "its certificate is not trusted" in await refusal(backend.url)
        assert ["a"] == list((await refreshed(backend.url, **house.trust)).rooms)
        assert ["a"] == list((await refreshed(backend.url, insecure_skip_verify=True)).rooms)
    async with Backend(listing_of("a"), tls=house.server("rooms.example")) as backend:
        assert "its certificate is not trusted" in await refusal(backend.url, **house.trust)
        assert ["a"] == list((await refreshed(backend.url, server_name="rooms.example", **house.trust)).rooms)


def _names(seen: Seen) -> list[str]:
    return [name for _, name in (seen.peer_certificate or {}).get("subjectAltName", ())]


async def test_a_client_certificate_is_shown_and_renewed(house: House) -> None:
    """
    A new one in the same files is shown from the next refresh on.
    """
    async with (
        Backend(listing_of("a"), tls=house.server()) as backend,
        provider(backend.url, **house.trust, **house.identity) as asked,
    ):
        await asked.refresh()
        house.issue("renewed@example.org")
        await asked.refresh()
    assert [["exporter@example.org"], ["renewed@example.org"]] == [_names(seen) for seen in backend.seen]


async def test_a_client_certificate_stays_at_home(house: House) -> None:
    """
    A server to which a redirect leads sees none.
    """
    async with (
        Backend(listing_of("a"), tls=house.server()) as other,
        Backend(redirect(other.url), tls=house.server()) as home,
    ):
        assert ["a"] == list((await refreshed(home.url, **house.trust, **house.identity)).rooms)
    assert [["exporter@example.org"], []] == [_names(seen) for seen in [*home.seen, *other.seen]]


async def test_a_renewed_authority_is_trusted(house: House, tmp_path: Path) -> None:
    """
    What ``ca_file`` holds at a refresh is what counts then.
    """
    (tmp_path / "new").mkdir()
    other = House(tmp_path / "new")
    async with (
        Backend(listing_of("a"), tls=other.server()) as backend,
        provider(backend.url, **house.trust) as asked,
    ):
        assert Result.FAILED == (await asked.refresh()).result
        house.ca_file.write_bytes(other.ca_file.read_bytes())
        assert Result.COMPLETE == (await asked.refresh()).result


async def test_files_that_do_not_fit_are_told(house: House, tmp_path: Path) -> None:
    """
    A missing file, a key with a pass phrase or of another certificate, and a file that holds no certificates.
    """
    url, identity = "https://127.0.0.1:1", house.identity
    locked = tmp_path / "locked.pem"
    command = "openssl", "pkey", "-in", house.key_file, "-aes256", "-passout", "pass:secret", "-out", locked
    subprocess.run(command, check=True, capture_output=True)  # noqa: ASYNC221 nothing else runs here
    assert "without a pass phrase" in await refusal(url, **identity | {"key_file": str(locked)})
    assert "cert_file or key_file that cannot be read" in await refusal(url, **identity | {"key_file": "/nowhere"})
    trustme.CA().private_key_pem.write_to_path(house.key_file)
    assert "found cert_file and key_file that do not fit; accepted" in await refusal(url, **identity)
    trust = house.trust
    house.ca_file.write_text("nothing")
    assert "accepted: a file of certificates in PEM form" in await refusal(url, **trust)


@pytest.mark.timed
async def test_the_loop_goes_on_while_a_hundred_thousand_rooms_come() -> None:
    """
    They are there within five seconds, and nothing else waits for long.
    """
    body = json.dumps([{"targets": [f"live_{number:09}" for number in range(100_000)]}]).encode()

    async def gap() -> float:
        async with Backend(Answer(gzip.compress(body), headers=JSON | {"Content-Encoding": "gzip"})) as backend:
            began = before = time.perf_counter()
            refresh = asyncio.create_task(refreshed(backend.url))
            gaps = []
            while not refresh.done():
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                gaps.append(now - before)
                before = now
        assert 100_000 == len(refresh.result().rooms)
        assert before - began < 5
        return sorted(gaps)[-2]

    assert 0.03 > await best(gap, 0.03)
