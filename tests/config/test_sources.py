"""
What a source is once its config is read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import ConfigError, load
from exporter.config.rooms import Defaults
from exporter.model import DEFAULT_FAMILIES, REDACTED, Family, Publish, Room, Thresholds
from exporter.vendors import APIS
from tests.config.configs import ENV, FOLDER, SECRET, config, source, text


def test_the_documented_config():
    """
    Every key of a source arrives where polling looks for it.
    """
    read = load(FOLDER / "design.good.yml", ENV)

    live = read.sources[0]
    assert ("live-cn", "zego_rtc", "zego", APIS["zego_rtc"]) == (live.name, live.api, live.vendor, live.codec)
    assert (10.0, 10.0, "zego-main", 5.0, 30.0) == (
        live.interval,
        live.rate_limit,
        live.budget,
        live.timeout,
        live.max_staleness,
    )
    assert "https://rtc-api.zego.im" == live.base_url
    assert ((str(FOLDER / "rooms/*.yml"), "/etc/rooms.txt")) == live.rooms_files
    assert (
        Room("lobby", (), Thresholds(800, 950)),
        Room("stage", (("area", "main"), ("event", "launch")), Thresholds(800, 5000)),
    ) == live.rooms
    assert [*APIS] == [source.api for source in read.sources]
    assert () == read.warnings


@pytest.mark.parametrize(
    ("written", "seconds"), [("500ms", 0.5), ("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("1h0.5s", 3600.5)]
)
def test_durations_are_go_s(written, seconds):
    """
    As in the flags and configs of every other exporter.
    """
    assert seconds == source(f"interval: {written}").interval


def test_labels_of_a_source_are_those_of_its_rooms():
    """
    A room's own win, key by key.
    """
    live = source(
        "labels: {team: x, zone: a}\nrooms: [lobby, {id: stage, labels: {zone: b}}, {id: hall, labels: {event: e}}]"
    )

    assert [
        (("team", "x"), ("zone", "a")),
        (("team", "x"), ("zone", "b")),
        (("event", "e"), ("team", "x"), ("zone", "a")),
    ] == [room.labels for room in live.rooms]
    assert Defaults((("team", "x"), ("zone", "a"))) == live.defaults


def test_labels_that_others_set_are_a_warning():
    """
    A Kubernetes target has them, and so has an alert; theirs win, and the room's are renamed or lost.
    """
    read = config(text("labels: {namespace: x}\nrooms: [lobby, {id: stage, labels: {alertname: y, zone: z}}]"))

    assert (
        "exporter.yml:7: sources[0].rooms: Prometheus' operator or an alert sets these labels, too, and its own win: "
        "alertname, namespace"
    ) == "\n".join(read.warnings)


def test_defaults_come_from_the_api():
    """
    What a source leaves out is what its API documents.
    """
    live = source(api="tencent_live")

    assert (40.0, 200.0, "tencent_live:1400000000", 5.0, None, "https://console.tim.qq.com") == (
        live.interval,
        live.rate_limit,
        live.budget,
        live.timeout,
        live.max_staleness,
        live.base_url,
    )
    assert ((), Defaults()) == (live.rooms_files, live.defaults)


def test_every_scalar_is_text():
    """
    Nothing is a number, a date, a boolean or null before somebody asks for one.
    """
    (odd,) = load(FOLDER / "scalars.good.yml", ENV).sources

    assert "0123" == odd.name
    assert [
        *("0123", "12:30", "yes", "no", "~", "null", "1_000", "0x1f", "1e3", ".inf", "2024-08-08"),
        *("true", "=", "a: b", "it's"),
    ] == [room.id for room in odd.rooms]
    assert ("1e3",) == odd.source.secrets()


def test_aliases_and_merges():
    """
    An alias repeats what it names, ``<<`` merges it, and a mapping's own keys win wherever they stand.
    """
    live, chat, more = load(FOLDER / "anchors.good.yml", ENV).sources

    assert [("zego_rtc", 20.0, 5.0), ("zego_zim", 30.0, 5.0), ("zego_rtc", 20.0, 3.0)] == [
        (source.api, source.interval, source.timeout) for source in (live, chat, more)
    ]
    assert live.rooms == chat.rooms == more.rooms


def test_http_is_for_loopback_or_for_those_who_allow_it():
    """
    Scheme and host are the same in either case of letters.
    """
    read = load(FOLDER / "loopback.good.yml", ENV)

    assert ["http://[::1]:8080", "http://localhost", "http://simulator:9880"] == [s.base_url for s in read.sources]


def test_families_are_in_their_own_order():
    """
    However they are written, and however often; without the key there are all but the user-seconds.
    """
    im, other = load(FOLDER / "publish.good.yml", ENV).sources

    assert ((Family.USERS, Family.USER_SECONDS), Publish(top=500)) == (im.families, im.publish)
    assert (DEFAULT_FAMILIES, Publish(min_users=10)) == (other.families, other.publish)
    assert [Family.USER_SECONDS] == [family for family in Family if family not in DEFAULT_FAMILIES]


def test_final_slash_and_line_break_are_dropped():
    """
    A block of YAML ends in a line break, and many a URL in a slash; neither is meant.
    """
    (im,) = load(FOLDER / "secret-block.good.yml", ENV).sources

    assert "http://127.0.0.1:8080" == im.base_url == im.source.base_url
    assert (SECRET,) == im.source.secrets()


def test_undocumented_characters_in_room_ids_are_one_warning():
    """
    The vendor may take them; a source says once how many there are, and names a few.
    """
    read = config(text("rooms: [lobby, a b, 大厅, c d, e f]", api="volcengine_rtc"))

    (warning,) = read.warnings
    assert (
        "exporter.yml:7: sources[0].rooms: 4 of 5 room ids hold undocumented characters ('a b', '大厅', 'c d', …); "
        "documented are letters, digits and @ . _ -"
    ) == warning


def test_room_that_is_indented_too_far_is_a_warning():
    """
    To YAML it is the rest of the room above it, and no vendor says that there is no such room.
    """
    read = config(text("rooms:\n  - lobby\n    - stage\n  - two\n    words"))

    assert ["lobby - stage", "two words"] == [room.id for room in read.sources[0].rooms]
    place, _, told = read.warnings[0].partition(": the room id ")
    assert "exporter.yml:6: sources[0].rooms" == place
    assert told.startswith("in line 7 goes on in the next line, where a dash is a part of it; each room begins with a ")


def test_source_without_rooms_is_a_warning():
    """
    Rooms may come later, so this is accepted.
    """
    read = load(FOLDER / "least.good.yml", ENV)

    file = FOLDER / "least.good.yml"
    assert (f"{file}:2: sources[0]: watches nothing, as it has neither rooms nor rooms_files",) == read.warnings


def test_more_calls_than_documented_are_a_warning():
    """
    The vendor may have raised the limit for this app; only the operator knows.
    """
    read = config(text("rate_limit: 12.5\nrooms: [lobby]"))

    assert (
        "exporter.yml:6: sources[0].rate_limit: 12.5 calls per second are more than the 10 that zego documents",
    ) == read.warnings


@pytest.mark.parametrize(("staleness", "fits"), [("20s", True), ("19999ms", False)])
def test_max_staleness_outlives_one_failed_poll(staleness, fits):
    """
    The bound is 1.5 times the interval, the default one here, and the time-out.
    """
    extra = f"max_staleness: {staleness}\nrooms: [lobby]"

    if fits:
        assert 20.0 == source(extra).max_staleness
    else:
        with pytest.raises(ConfigError, match="here 20s"):
            source(extra)


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_booleans_of_yaml_1_2(word):
    """
    ``yes`` and ``on`` are text, as in YAML 1.2.
    """
    assert "zego_rtc:1234567890:test" == source(f"is_test: {word}").budget


def test_a_source_tells_all_its_problems_at_once():
    """
    Whoever notices them: the model, the bounds of durations, the address, the secret, the rooms.
    """
    extra = "timeout: 10m\nbase_url: ftp://x\nthresholds: {warning: -1}\nrooms: ['']\nrooms_files: [x]\nfoo: bar"
    with pytest.raises(ConfigError) as refused:
        config(text(extra).replace("1234567890", "live").replace(SECRET, '""'))

    keys = ("app_id", "server_secret", "timeout", "base_url", "thresholds.warning", "rooms[0]", "rooms_files[0]", "foo")
    assert [f"sources[0].{key}" for key in keys] == [problem.split(": ")[1] for problem in refused.value.problems]


def test_paths_begin_in_the_folder_of_the_config(tmp_path, monkeypatch):
    """
    Not in the folder in which the exporter was started.
    """
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "key").write_text(SECRET + "\n")
    monkeypatch.chdir(tmp_path)
    body = text("rooms_files: [rooms/a.yml]", api="tencent_im").replace(f"secret_key: {SECRET}", "secret_key_file: key")

    (im,) = config(body, path=Path("etc/exporter.yml")).sources

    assert (str(tmp_path / "etc/rooms/a.yml"),) == im.rooms_files
    assert (SECRET,) == im.source.secrets()


def test_repr_shows_no_secret():
    """
    Neither the secrets nor the proxy's password stand in what a log might print of a config.
    """
    read = load(FOLDER / "design.good.yml", ENV)

    assert "d3d2d1d0" not in repr(read)
    for each in read.sources:
        assert REDACTED in repr(each.source)
        assert "d3d2d1d0" not in repr(each.source)
        assert not any(secret in repr(each) + repr(each.source) for secret in each.source.secrets())
