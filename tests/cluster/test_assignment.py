"""
Exporters that share one config agree on who polls what, and share the work evenly.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cluster.assignment import BOUND, Unit, assign, units
from tests.polling.house import parsed, source

LOADS = st.dictionaries(st.text(max_size=8), st.floats(0, 200), max_size=60)
REPLICAS = st.lists(st.text(max_size=8), min_size=1, max_size=8, unique=True)


def carried(loads: Mapping[str, float], places: Mapping[str, str], replicas: Sequence[str]) -> list[float]:
    """The load of each replica."""
    return [sum(loads[unit] for unit, place in places.items() if place == replica) for replica in replicas]


def budgets(seed: int, count: int = 200) -> dict[str, float]:
    """Loads of budgets, from 1 to 200 calls per second."""
    drawn = random.Random(seed)
    return {f"{seed}-{number}": drawn.uniform(1, 200) for number in range(count)}


def exporters(count: int) -> list[str]:
    """Names as those of a StatefulSet's pods."""
    return [f"exporter-{number}" for number in range(count)]


@given(LOADS, REPLICAS, st.randoms())
def test_every_unit_has_one_place_whatever_the_order(
    loads: dict[str, float], replicas: list[str], order: random.Random
) -> None:
    """
    Each unit has one of the replicas, and the order of units and replicas does not matter.
    """
    places = assign(loads, replicas)
    items, others = [*loads.items()], [*replicas]
    order.shuffle(items)
    order.shuffle(others)

    assert loads.keys() == places.keys()
    assert {*places.values()} <= {*replicas}
    assert places == assign(dict(items), others)


@given(LOADS, REPLICAS)
def test_no_replica_has_much_more_than_its_share(loads: dict[str, float], replicas: list[str]) -> None:
    """
    None has more than 1.25 × the mean, or one unit if that is more; or it took a unit that fitted nowhere as the
    emptiest, and so has at most the mean and that unit.
    """
    share, largest = sum(loads.values()) / len(replicas), max(loads.values(), default=0.0)

    for load in carried(loads, assign(loads, replicas), replicas):
        assert load <= max(BOUND * share, share + largest) * (1 + 1e-6)


@pytest.mark.parametrize(("replicas", "fullest", "moved"), [(2, 1.15, 0.37), (4, 1.22, 0.25), (8, 1.25, 0.18)])
def test_balance_and_moves_of_200_budgets(replicas: int, fullest: float, moved: float) -> None:
    """
    The fullest replica in means, and the share of budgets that move when one more joins, on average of 20 configs.

    A perfectly even distribution would be 1.0; a perfectly calm one would move 1/3, 1/5 and 1/9.
    """
    before = exporters(replicas)
    fullest_found, moved_found = [], []
    for seed in range(20):
        loads = budgets(seed)
        places, later = assign(loads, before), assign(loads, exporters(replicas + 1))
        fullest_found.append(max(carried(loads, places, before)) * replicas / sum(loads.values()))
        moved_found.append(sum(places[unit] != later[unit] for unit in loads) / len(loads))

    assert mean(fullest_found) <= fullest
    assert mean(moved_found) <= moved
    assert max(fullest_found) <= BOUND + 1e-6


def test_a_few_rooms_more_move_next_to_nothing() -> None:
    """
    When one of 200 budgets needs a tenth of a call per second more, all stay where they are, nineteen times of twenty.
    """
    calm = [
        assign(loads, exporters(4)) == assign(loads | {f"{seed}-7": loads[f"{seed}-7"] + 0.1}, exporters(4))
        for seed, loads in enumerate(map(budgets, range(20)))
    ]

    assert calm.count(True) >= 19


def test_a_new_budget_moves_few_others() -> None:
    """
    Of 200 budgets on four replicas, on average less than one has another place when one is added, and never ten.
    """
    moves = []
    for seed in range(20):
        loads = budgets(seed)
        before, after = assign(loads, exporters(4)), assign(loads | {"new": 80.0}, exporters(4))
        moves.append(sum(before[unit] != after[unit] for unit in loads))

    assert mean(moves) < 1
    assert max(moves) < 10


def test_every_process_comes_to_the_same_result() -> None:
    """
    The places are these in each process, and will be in the next version: another result would move a running fleet.
    """
    program = (
        "from exporter.cluster.assignment import assign;"
        "print(*assign({f'b{n}': n for n in range(8)}, ['x', 'y', 'z']).values())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    ).stdout.split()

    assert [*"zyxxyyzy"] == printed
    assert [*"zyxxyyzy"] == [*assign({f"b{n}": n for n in range(8)}, ["x", "y", "z"]).values()]


def test_the_largest_unit_fits_although_it_is_more_than_the_bound() -> None:
    """
    One unit may need more than 1.25 × the mean; the others then go elsewhere.
    """
    places = assign({"large": 100, "a": 1, "b": 1, "c": 1}, ["x", "y"])

    assert places["large"] not in {places["a"], places["b"], places["c"]}


def test_a_unit_that_fits_nowhere_goes_to_the_emptiest() -> None:
    """
    Three equal units on two replicas: the bound leaves room for one each, and the third goes to either.
    """
    loads = {"a": 10, "b": 10, "c": 10}

    assert [10, 20] == sorted(carried(loads, assign(loads, ["x", "y"]), ["x", "y"]))


def test_budgets_of_one_source_move_together() -> None:
    """
    The budget of a source's polls and that of its list are one unit, with every source that draws on either.
    """
    lists: dict[str, Any] = {"discovery": {"vendor_list": {}}}
    found = units(
        parsed(
            source("tencent_im", 1, name="im", budget="shared", **lists),
            source("zego_rtc", 1, name="alone"),
            source("tencent_live", 1, name="live", budget="shared", rate_limit="200"),
            source("tencent_im", 1, name="same list", budget="other", **lists),
        )
    )

    assert ["other", "zego_rtc:1234567890"] == [unit.name for unit in found]
    assert [("im", "live", "same list"), ("alone",)] == [unit.sources for unit in found]
    assert {"other", "shared"} < {*found[0].budgets}


def test_load_is_calls_per_second_that_the_config_tells() -> None:
    """
    Rooms need a call per ten and interval, no more than the limit; with rooms files the limit counts.
    """
    found = units(
        parsed(
            source("zego_rtc", 500, name="a", budget="a"),
            source("zego_rtc", 5000, name="b", budget="b"),
            source("zego_rtc", 1, name="c", budget="c", rooms_files=["rooms/*.txt"]),
        )
    )

    assert [Unit("a", ("a",), ("a",), 5.0), 10.0, 10.0] == [found[0], found[1].load, found[2].load]


def test_load_of_rooms_that_are_found_is_that_of_all_that_may_be() -> None:
    """
    The rooms that are there now are not in the config, and differ from one moment to the next.
    """
    (found,) = units(parsed(source("tencent_im", 1, discovery={"max_rooms": 1000, "vendor_list": {"interval": "10s"}})))

    assert 10.0 < found.load
    assert 2 == len(found.budgets)
