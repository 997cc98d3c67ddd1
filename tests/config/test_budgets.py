"""
Sources of one budget have one rate limit.
"""

from __future__ import annotations

import pytest

from exporter.config import ConfigError
from tests.config.configs import config, text


def limits(*extras: str) -> list[float]:
    """Of one source for each extra line, in their order."""
    sources = [text(extra, api="zego_zim", name=f"s{number}") for number, extra in enumerate(extras)]
    return [source.rate_limit for source in config(*sources).sources]


def test_one_source_states_the_limit_for_all():
    """
    A source that leaves it out takes what its mates say, before or after it.
    """
    assert [5.0, 5.0, 5.0] == limits("timeout: 5s", "rate_limit: 5", "timeout: 5s")


def test_other_budgets_are_not_concerned():
    """
    What one budget's sources say holds for that budget.
    """
    assert [20.0, 5.0] == limits("budget: a", "budget: b\nrate_limit: 5")


def test_apis_with_different_limits_in_one_budget_need_a_stated_one():
    """
    Whose documented limit should count cannot be guessed.
    """
    with pytest.raises(ConfigError, match="found no rate_limit, while its API documents 20 calls per second"):
        config(text("budget: main"), text("budget: main", api="zego_zim", name="chat"))
