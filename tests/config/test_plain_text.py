"""
What a config holds is plain text, however the YAML was written: encoders refuse what only looks like text.
"""

import os
from pathlib import Path

import pytest

from exporter.config import ConfigError, parse
from exporter.model import Stamp

FOLDED = """
sources:
  - name: >-
      im
    api: tencent_im
    sdk_app_id: 1400000000
    identifier: "administr\\
      ator"
    secret_key: 5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e
    rooms:
      - >-
        folded
        id
      - {id: "two
          lines", labels: {event: "first
          second"}}
"""


def test_text_over_several_lines_becomes_plain_text() -> None:
    """
    A room id, a label or a name over several lines is text like any other, and a request can be made of it.
    """
    (source,) = parse(FOLDED, Path("exporter.yml"), os.environ).sources

    texts = [source.name, source.source.name, *(room.id for room in source.rooms), source.rooms[1].labels[0][1]]
    assert ["im", "im", "folded id", "two lines", "first second"] == texts
    assert {str} == {type(text) for text in texts}
    auth = source.codec.authorize(source.source, 1_700_000_000)
    for room in source.rooms:
        source.codec.request(source.source, auth, [room.id], Stamp(1_700_000_000, "0123456789abcdef"))


def test_what_yaml_takes_for_something_else_becomes_plain_text() -> None:
    """
    Numbers, booleans and null without quotes are text in a config, the names of labels included.
    """
    rooms = "rooms: [0123, {id: ~, labels: {true: 1e3, n_: null}}, null, false]"
    keys = f"api: tencent_im, sdk_app_id: 1, identifier: 12, secret_key: {'1234567890' * 7}"
    (source,) = parse(f"sources: [{{name: 007, {keys}, {rooms}}}]", Path("exporter.yml"), {}).sources

    labels = [text for pair in source.rooms[1].labels for text in pair]
    texts = [source.name, *(room.id for room in source.rooms), *labels, *source.source.secrets()]
    assert ["007", "0123", "~", "null", "false", "n_", "null", "true", "1e3", "1234567890" * 7] == texts
    assert {str} == {type(text) for text in texts}


def test_a_key_that_may_be_a_secret_is_not_shown() -> None:
    """
    Whoever pastes a secret where a key belongs does not find it in the error.
    """
    for text in ("qZ8Kx2mPv7LwN4tR9sBd3yHj6cFg1aQe: 3", "sources: [{SuperSecretValue0123456789abcdef: server_secret}]"):
        with pytest.raises(ConfigError) as caught:
            parse(text, Path("exporter.yml"), {})
        assert "qZ8" not in str(caught.value)
        assert "SuperSecret" not in str(caught.value)
