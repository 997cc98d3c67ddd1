"""
Rate limits in a true sliding second.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator import APIS, Apps, Settings, VolcengineApp
from exporter.simulator.limits import Budget, Limits
from exporter.simulator.settings import DOCUMENTED_LIMITS
from tests.simulator import callers
from tests.simulator.callers import volcengine, zego

# Sixteenths of a second: sums are exact, so that a call just one second later is just that.
gaps = st.lists(st.integers(0, 20).map(lambda sixteenths: sixteenths / 16), max_size=200)


@settings(deadline=None)
@given(gaps=gaps, limit=st.integers(0, 6))
def test_admits_what_fits_into_every_sliding_second(gaps, limit):
    """
    A call is admitted just when fewer than the limit were admitted in the second before it, (t - 1, t].
    """
    budget, now, rejected = Budget(limit), 0.0, 0
    admitted: list[float] = []
    for gap in gaps:
        now += gap
        expected = sum(now - 1 < moment <= now for moment in admitted) < limit

        assert expected is budget.admit(now)

        admitted += [now] if expected else []
        rejected += not expected
    assert rejected == budget.rejected


@settings(deadline=None)
@given(gaps=gaps)
def test_the_worst_second_is_the_worst_there_was(gaps):
    """
    The fullest (t - 1, t] over all t, counted over every call that came in.
    """
    budget, moments, now = Budget(3), [], 0.0
    for gap in gaps:
        now += gap
        moments.append(now)
        budget.receive(now)

    worst = max((sum(end - 1 < moment <= end for moment in moments) for end in moments), default=0)
    assert (worst, len(moments)) == (budget.worst, budget.calls)


def test_a_changed_limit_holds_at_once():
    """
    For the budgets in use and for those to come; for one holder alone where one is named.
    """
    limits = Limits(Settings(limits={"zego_rtc": 5}))
    used = limits.budget("zego_rtc", "1")

    limits.change("zego_rtc", 3, holder="1")
    assert (3, 5) == (used.limit, limits.budget("zego_rtc", "2").limit)
    limits.change("zego_rtc", 4, holder="3")
    assert 4 == limits.budget("zego_rtc", "3").limit
    limits.change("zego_rtc", 2)
    assert {2} == {limits.budget("zego_rtc", holder).limit for holder in "1234"}


def test_limits_that_cannot_be():
    """
    An unknown name and a negative number are refused.
    """
    with pytest.raises(KeyError):
        Limits(Settings()).change("zego", 1)
    with pytest.raises(ValueError, match="a negative number"):
        Limits(Settings()).change("zego_rtc", -1)
    with pytest.raises(ValueError, match="limits: unknown name 'zego'; known are zego_rtc, zego_rtc/test"):
        Settings(limits={"zego": 1})


@pytest.mark.parametrize(
    ("api", "code"),
    [
        ("zego_rtc", "206"),
        ("zego_zim", "660300006"),
        ("tencent_im", "60011"),
        ("tencent_live", "60011"),
        ("volcengine_rtc", "FlowLimitExceeded.QPSOverLimit"),
    ],
)
async def test_beyond_the_limit_the_vendors_own_code(client, clock, api, code):
    """
    The documented number of calls passes within a second, one more does not, and when the first is a second old there
    is room for one again.
    """
    client.simulator.world.create(api, "Room1")
    limit = DOCUMENTED_LIMITS[api]
    codes = [(await client.ask(api, "Room1")).code]
    clock.advance(0.5)
    codes += [(await client.ask(api, "Room1")).code for _ in range(limit)]

    assert [*["0"] * limit, code] == codes
    clock.advance(0.5)
    assert ["0", code] == [(await client.ask(api, "Room1")).code for _ in range(2)]
    (report,) = client.simulator.limits.report()
    assert (api, limit, limit + 3, 2, limit + 2) == (
        report.name,
        report.limit,
        report.calls,
        report.rejected,
        report.worst,
    )


async def test_the_test_environment_has_a_limit_of_its_own(client):
    """
    `IsTest=true` allows one call a second, beside those of production.
    """

    def ask(**params):
        return zego("DescribeUserNum", ["a"], now=client.now, **params)

    assert ["0", "206", "0"] == [
        await client.code(wire) for wire in (ask(IsTest="true"), ask(IsTest="true"), ask(IsTest="false"))
    ]


async def test_refused_calls_use_nothing_up_but_count(client):
    """
    A bad signature costs its app no slot; in the report it is a call like any other.
    """
    for _ in range(20):
        await client.send(zego("DescribeUserNum", ["a"], now=client.now, Signature="0" * 32))

    assert "0" == (await client.ask("zego_rtc", "a")).code
    (report,) = client.simulator.limits.report()
    assert (21, 0, 21) == (report.calls, report.rejected, report.worst)


async def test_calls_of_unknown_apps_are_nobodys(client):
    """
    They are refused and logged, but make no budget.
    """
    await client.send(zego("DescribeUserNum", ["a"], now=client.now, app_id=5))
    await client.send(volcengine("a", now=client.now, host=client.host, access_key="AKnobody"))

    assert [] == client.simulator.limits.report()
    assert ["refusal", "refusal"] == [call.outcome for call in client.simulator.calls]


class TestSharedAccounts:
    """
    Volcengine's limit is the account's.
    """

    @pytest.fixture
    def settings(self):
        """
        Two apps of one account.
        """
        second = VolcengineApp("second", callers.VOLCENGINE.access_key_id, callers.VOLCENGINE.secret_access_key)
        apps = Apps(volcengine=(second, callers.VOLCENGINE))
        return Settings(rooms=dict.fromkeys(APIS, 0), apps=apps, limits={"volcengine_rtc": 2})

    async def test_apps_of_one_access_key_share_its_limit(self, client):
        """
        Two calls of one app and one of the other are three calls.
        """
        wires = [
            volcengine("a", now=client.now, host=client.host, AppId=app)
            for app in (callers.VOLCENGINE.app_id, "second", "second")
        ]

        assert ["0", "0", "FlowLimitExceeded.QPSOverLimit"] == [await client.code(wire) for wire in wires]
