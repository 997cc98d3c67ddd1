"""
Sources that draw on one budget share its limit, so they must agree what it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from exporter.config.errors import Problems
from exporter.config.models import SourceConfig
from exporter.config.tree import Place


def agree(drafts: Sequence[tuple[SourceConfig, Place]], problems: Problems) -> tuple[SourceConfig, ...]:
    """
    The sources with the rate limit of their budget: the one that any of them states, else the documented one.

    Args:
        drafts: Sources with the documented limit of their API, and where they begin.
    """
    budgets = defaultdict(list)
    for config, place in drafts:
        budgets[config.budget].append((config, place))
    limits = {budget: _limit(members, problems) for budget, members in budgets.items()}
    return tuple(replace(config, rate_limit=limits[config.budget]) for config, _ in drafts)


def _limit(members: Sequence[tuple[SourceConfig, Place]], problems: Problems) -> float:
    stated = [(config.source.rate_limit, place) for config, place in members if config.source.rate_limit is not None]
    if not stated:
        return _documented_limit(members, problems)
    limit, first = stated[0]
    for other, place in stated[1:]:
        if other != limit:
            problems.add(
                place.key("rate_limit"),
                problems.show(str(place.key("rate_limit").value)),
                f"{limit:g}, as {first.path} of the same budget says",
            )
    return limit


def _documented_limit(members: Sequence[tuple[SourceConfig, Place]], problems: Problems) -> float:
    (config, first), *others = members
    limit = config.rate_limit
    for other, place in others:
        if other.rate_limit != limit:
            problems.add(
                place,
                f"no rate_limit, while its API documents {other.rate_limit:g} calls per second, "
                f"and that of {first.path} in the same budget {limit:g}",
                "rate_limit for one source of the budget at least",
            )
    return limit
