"""
A secret that cannot be right earns a warning, and is in none of its words.
"""

from __future__ import annotations

import base64

import pytest

from exporter.config.secret_looks import oddity
from exporter.simulator import DEFAULT_APPS
from exporter.vendors import APIS
from exporter.vendors.source import SecretForm
from tests.config.configs import KEYS, SECRET, config, source, text

SERVER_SECRET = "ZEGO's ServerSecret has 32 letters and digits"
SECRET_KEY = "Tencent's SDKSecretKey has 64 hex digits"
ACCESS_KEY = "Volcengine's secret access keys have 20 characters or more"
USER_SIG = "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zIhwokFBTmZqUWJQJnSyuLUpKzE8vwisJKS"
CAM_KEY = "an API key's SecretKey (CAM), and that is none of a Chat app"
CAM_ID = "an API key's SecretId (CAM) does, and that is none of a Chat app"
OWN = "a UserSig does, and those the exporter makes by itself"
NOT_REPLACED = "the name of a variable where the secret belongs: nothing has replaced it by its value"
PLACEHOLDER = "a placeholder where the secret belongs"
RIGHT = {
    "server_secret": DEFAULT_APPS.zego[0].server_secret,
    "secret_key": DEFAULT_APPS.tencent[0].secret_key,
    "secret_access_key": DEFAULT_APPS.volcengine[0].secret_access_key,
}


def warnings(api: str, name: str, secret: str, form: str = "_env") -> list[str]:
    """What is said of a source with this secret, without the place."""
    lines = [line for line in KEYS[api].splitlines() if not line.startswith(f"{name}:")]
    body = text(f"{name}{form}: KEY\nrooms: [lobby]", api).replace(
        KEYS[api].replace("\n", "\n    "), "\n    ".join(lines)
    )
    read = config(body, env={"KEY": secret})
    (line,) = [number for number, line in enumerate(f"sources:\n{body}".splitlines(), 1) if "KEY" in line]
    place = f"exporter.yml:{line}: sources[0].{name}{form}: "
    assert all(warning.startswith(place) for warning in read.warnings)
    return [warning.removeprefix(place) for warning in read.warnings]


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("zego_rtc", "server_secret"),
        ("zego_zim", "server_secret"),
        ("tencent_im", "secret_key"),
        ("tencent_live", "secret_key"),
        ("volcengine_rtc", "secret_access_key"),
    ],
)
def test_right_secret_is_none_to_warn_of(api, name):
    """
    Every API's secret in the form of its vendor's documents.
    """
    assert [] == warnings(api, name, RIGHT[name])


@pytest.mark.parametrize(
    ("api", "name", "secret", "said"),
    [
        (
            "zego_rtc",
            "server_secret",
            "a1" * 32,
            f"a secret of 64 characters, which is an AppSign's length; {SERVER_SECRET}",
        ),
        ("zego_zim", "server_secret", "a1b2" * 5, f"a secret of 20 characters; {SERVER_SECRET}"),
        ("zego_zim", "server_secret", "a", f"a secret of 1 character; {SERVER_SECRET}"),
        ("zego_rtc", "server_secret", "a1b2-" * 6 + "ab", f"a secret of 32 characters; {SERVER_SECRET}"),
        (
            "tencent_im",
            "secret_key",
            "Gu5t9xGARNpq86cd98joQYCN3abcdefg",
            f"a secret of 32 characters, which is the length of {CAM_KEY}; {SECRET_KEY}",
        ),
        (
            "tencent_live",
            "secret_key",
            "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
            f"a secret of 36 characters, which begins as {CAM_ID}; {SECRET_KEY}",
        ),
        (
            "tencent_im",
            "secret_key",
            USER_SIG,
            f"a secret of {len(USER_SIG)} characters, which begins as {OWN}; {SECRET_KEY}",
        ),
        (
            "volcengine_rtc",
            "secret_access_key",
            "AKLTODk0ZmVhYmM5NmZhNGQ5Zjk4MzU",
            "a secret of 31 characters, which begins as an access key id does, its other half; " + ACCESS_KEY,
        ),
        ("volcengine_rtc", "secret_access_key", "TVdJ", f"a secret of 4 characters; {ACCESS_KEY}"),
    ],
)
def test_secret_of_another_form_than_the_vendor_s(api, name, secret, said):
    """
    It is told how long the secret is, how long it should be, and what of the same console looks like this one.
    """
    assert [said] == warnings(api, name, secret)


@pytest.mark.parametrize("secret", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize(
    ("written", "said"),
    [
        (" {}", "a secret with white space before or after it, which is used as a part of it"),
        ("{}\u00a0", "a secret with white space before or after it, which is used as a part of it"),
        ('"{}"', "a secret with quotes around it, which are used as a part of it"),
        ("'{}", "a secret with quotes around it, which are used as a part of it"),
        ("“{}”", "a secret with quotes around it, which are used as a part of it"),
        ("ZEGO_SERVER_SECRET={}", "a name and its value where the value alone belongs"),
        ("export KEY={}", "a name and its value where the value alone belongs"),
        ("server_secret: {}", "a name and its value where the value alone belongs"),
        ("{} {}", "a secret with white space in it"),
        ("{}\u200b", "a secret with characters beyond ASCII"),
    ],
)
def test_more_than_the_secret(secret, written, said):
    """
    What a shell, an env file or a text program leaves around a secret is never a part of it.
    """
    found = oddity(written.replace("{}", secret), SecretForm(".{32}", "it has 32 characters"))

    assert said == found


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (
            "${ZEGO_SERVER_SECRET}",
            "the name of a variable where the secret belongs: nothing has replaced it by its value",
        ),
        ("$SECRET", NOT_REPLACED),
        ("$(cat secret)", NOT_REPLACED),
        (
            "{{ .Values.secret }}",
            "the name of a variable where the secret belongs: nothing has replaced it by its value",
        ),
        ("%SECRET%", NOT_REPLACED),
        ("...", PLACEHOLDER),
        ("…", PLACEHOLDER),
        ("xxxxxxxx", PLACEHOLDER),
        ("<server secret>", PLACEHOLDER),
        ("replace-me", PLACEHOLDER),
        ("CHANGEME", PLACEHOLDER),
        ("your-server-secret", PLACEHOLDER),
    ],
)
def test_something_in_place_of_the_secret(secret, said):
    """
    An example that was copied whole, and a template that nobody filled in, whatever the vendor's form is.
    """
    assert said == oddity(secret, None)


@pytest.mark.parametrize("ending", ["", "\n"])
def test_base64_of_a_secret(ending):
    """
    A value of Kubernetes' `data` that was copied as it stands there.
    """
    encoded = base64.b64encode(f"{SECRET}{ending}".encode()).decode()

    assert [f"base64 where the secret itself belongs; {SERVER_SECRET}"] == warnings(
        "zego_rtc", "server_secret", encoded
    )


@pytest.mark.parametrize("form", ["_env", "_file", ""])
def test_the_warning_stands_where_the_secret_is_given(form, tmp_path):
    """
    In the config, in a variable or in a file: the key that the operator wrote is named.
    """
    (tmp_path / "KEY").write_text("...\n")
    value = {"_env": "KEY", "_file": str(tmp_path / "KEY"), "": '"..."'}[form]
    body = text().replace(f"server_secret: {SECRET}", f"server_secret{form}: {value}")

    read = config(body, env={"KEY": "..."})

    assert (f"exporter.yml:5: sources[0].server_secret{form}: a placeholder where the secret belongs",) == read.warnings


@pytest.mark.parametrize("token", ["a-token", "nCgdyeXpzTm9QUyIsIlNpZ25hdHVyZSI6IkNnZ"])
def test_secret_whose_form_nobody_documents(token):
    """
    A session token may look like anything but a placeholder.
    """
    read = config(text("session_token_env: STS\nrooms: [lobby]", api="volcengine_rtc"), env={"STS": token})

    assert () == read.warnings


@pytest.mark.parametrize("region", ["cn-north-1", "ap-southeast-1", "ap-singapore-1"])
def test_documented_regions_of_volcengine(region):
    """
    The vendor's pages have three.
    """
    assert () == config(text(f"region: {region}\nrooms: [lobby]", api="volcengine_rtc")).warnings


def test_other_region_of_volcengine_is_used_with_a_warning():
    """
    The vendor may open one tomorrow; until then it is most likely a mistake.
    """
    body = "region: us-east-1\nrooms: [lobby]"

    (warning,) = config(text(body, api="volcengine_rtc")).warnings
    assert (
        "exporter.yml:7: sources[0].region: 'us-east-1' is used, but is none that the vendor documents: "
        "cn-north-1, ap-southeast-1, ap-singapore-1"
    ) == warning
    assert " us-east-1 " in source(body, api="volcengine_rtc").rooms_key


def test_every_secret_of_an_api_that_can_be_judged_is():
    """
    Required secrets have a form; a session token has none, nor has what people choose for a server of their own.
    """
    judged = {
        (api, name): any(isinstance(each, SecretForm) for each in codec.source_model.model_fields[name].metadata)
        for api, codec in APIS.items()
        for name in codec.source_model.secret_fields()
    }

    formless = {("volcengine_rtc", "session_token")}
    formless |= {("janus_videoroom", "admin_secret"), ("janus_videoroom", "admin_key")}
    assert formless == {key for key, has in judged.items() if not has}
