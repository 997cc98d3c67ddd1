"""
Secrets come from three places, and go nowhere near an error.
"""

from __future__ import annotations

import pytest

from exporter.config import ConfigError
from tests.config.configs import SECRET, config, text

INLINE = f"server_secret: {SECRET}"


def refusal(line: str, env: dict[str, str]) -> str:
    """What is said of a source with this line in place of its secret."""
    with pytest.raises(ConfigError) as refused:
        config(text().replace(INLINE, line), env=env)
    return str(refused.value)


def test_secret_of_the_environment():
    """
    A final line break, as Kubernetes secrets made with ``echo`` have one, is no part of it.
    """
    read = config(text().replace(INLINE, "server_secret_env: KEY"), env={"KEY": SECRET + "\n"})

    assert (SECRET,) == read.sources[0].source.secrets()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_secret_of_a_file(tmp_path, ending):
    """
    Nor is the one of a file.
    """
    (tmp_path / "key").write_bytes(SECRET.encode() + ending.encode())

    read = config(text().replace(INLINE, f"server_secret_file: {tmp_path}/key"))

    assert (SECRET,) == read.sources[0].source.secrets()


@pytest.mark.parametrize("name", ["ZEGO_SERVER_SECRET", "SECRET", "zego_secret", "Zego_Key_2"])
def test_unset_variable_is_named(name):
    """
    What looks like a variable's name is shown.
    """
    assert f"found {name!r}, which is not set" in refusal(f"server_secret_env: {name}", {})


@pytest.mark.parametrize("name", [SECRET, SECRET.upper(), "hunter2", "AKLT-x/y==", "x" * 70, '""', "ab cd"])
def test_secret_in_place_of_a_variable_is_not_shown(name):
    """
    A value that nobody would call a variable is most likely the secret itself.
    """
    message = refusal(f"server_secret_env: {name}", {})

    assert "found a variable that is not set" in message
    assert name not in message


@pytest.mark.parametrize("path", ["/run/secrets/im", "secrets/zego.key", "../key", "zego.txt", "a b/c.d"])
def test_unreadable_file_is_named(path):
    """
    What looks like a path is shown.
    """
    assert f"found '{path}' (no such file or directory)" in refusal(f"server_secret_file: {path}", {})


@pytest.mark.parametrize("path", [SECRET, "TVdJd0+0a2I/wXg9PQ==", f"/{SECRET}{SECRET}", "hunter2"])
def test_secret_in_place_of_a_path_is_not_shown(path):
    """
    A value that nobody would call a path is most likely the secret itself.
    """
    message = refusal(f"server_secret_file: {path}", {})

    assert "found a path (no such file or directory)" in message
    assert path not in message


def test_optional_secret():
    """
    Temporary credentials have a third part, which the others lack.
    """
    permanent = config(text(api="volcengine_rtc"))
    temporary = config(text("session_token_env: STS", api="volcengine_rtc"), env={"STS": "a-token"})

    assert (SECRET,) == permanent.sources[0].source.secrets()
    assert (SECRET, "a-token") == temporary.sources[0].source.secrets()


@pytest.mark.parametrize("secret", [SECRET, "TVdJd0+0a2I/wXg9PQ==", "hunter2"])
def test_secret_in_another_value_is_cut_out(secret):
    """
    A secret of the file that stands in a value as well is redacted there, whatever it looks like.
    """
    with pytest.raises(ConfigError) as refused:
        config(text(f"interval: 10s-{secret}").replace(SECRET, secret))

    assert "found '10s-<redacted>'" in str(refused.value)


@pytest.mark.parametrize("secret", [SECRET, "TVdJd0+0a2I/wXg9PQ==", "0a" * 40])
def test_secret_under_a_wrong_key_is_not_shown(secret):
    """
    App id and secret change places easily.
    """
    with pytest.raises(ConfigError) as refused:
        config(text().replace(SECRET, "secret").replace("1234567890", secret).replace("secret\n", "1234567890\n"))

    assert "sources[0].app_id: found '<redacted>'; accepted: a whole number" in str(refused.value)


def test_a_secret_that_an_alias_repeats():
    """
    It is one wherever it stands, such as among the room ids that an error names.
    """
    written = text().replace(INLINE, f"server_secret: &key {SECRET}")
    aliases = written.replace("rooms: [", "rooms: [*key, *key, ")
    assert aliases != written

    with pytest.raises(ConfigError) as refused:
        config(aliases)

    assert "found '<redacted>' again" in str(refused.value)
    assert SECRET not in str(refused.value)
