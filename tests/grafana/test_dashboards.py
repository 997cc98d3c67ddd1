"""
The dashboards, as they are committed.
"""

import itertools
import json
import re

import pytest

from exporter.metrics.catalogue import CATALOGUE, ROOM_METRICS
from exporter.states import RoomState, SourceState
from grafana.generator import dashboards, occupancy, recorded, sources
from grafana.generator.expressions import expressions, interpolate
from tests.docs.pages import PROMQL
from tests.rules.promql import published_and_recorded, selectors

DASHBOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in dashboards.FOLDER.glob("*.json")}
PANELS = {
    f"{name} · {panel['title']}": panel
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    if panel["type"] != "row"
}
EXPRESSIONS = expressions()
SHOWN = [one for one in EXPRESSIONS if not one.place.startswith("variable")]


def variables(dashboard):
    """
    The dashboard's variables by name.
    """
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


@pytest.mark.generated
def test_the_committed_files_are_what_the_generator_writes():
    """
    `make generate` would change no file, add none and leave none behind.
    """
    committed = {path.name: path.read_text(encoding="utf-8") for path in dashboards.FOLDER.iterdir()}

    assert dashboards.rendered() == committed


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_a_panel_can_be_read(panel):
    """
    Each panel has a description, a unit and thresholds, and asks the chosen data source.
    """
    defaults = panel["fieldConfig"]["defaults"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}

    assert panel["description"]
    assert defaults["unit"]
    assert None is defaults["thresholds"]["steps"][0]["value"]
    assert [chosen] * (1 + len(panel["targets"])) == [panel["datasource"], *(t["datasource"] for t in panel["targets"])]


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_what_is_not_known_now_is_not_shown_as_now(panel):
    """
    Panels that show one moment ask for this moment, so that a value of half an hour ago is never taken for today's.
    """
    momentary = panel["type"] in {"stat", "table", "barchart"}

    assert [momentary] * len(panel["targets"]) == [target["instant"] for target in panel["targets"]]


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_panels_have_numbers_and_places_of_their_own(dashboard):
    """
    No two panels share an id or a title or overlap, and none is wider than the page.
    """
    panels = dashboard["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]

    assert len(panels) == len({panel["id"] for panel in panels})
    assert len(panels) == len({panel["title"] for panel in panels})
    assert len(cells) == len(set(cells))
    assert set(range(24)) == {x for x, _ in cells}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_narrowed_down(name):
    """
    Every dashboard has variables for the data source, job, vendor, API and source; Room has one for the room.
    """
    wanted = {"datasource", "job", "vendor", "api", "source"} | ({"room"} if name == "room" else set())

    assert wanted <= set(variables(DASHBOARDS[name]))


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_links_lead_somewhere(dashboard):
    """
    Each dashboard links to the others by their tag, and its tables' links set variables that their target has.
    """
    by_uid = {other["uid"]: other for other in DASHBOARDS.values()}
    urls = re.findall(r'"url": "/d/([^"]+)"', json.dumps(dashboard))

    assert all(set(link["tags"]) <= set(other["tags"]) for link in dashboard["links"] for other in by_uid.values())
    for uid, query in (url.split("?") for url in urls):
        assert set(re.findall(r"var-(\w+)=", query)) <= set(variables(by_uid[uid]))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda e: f"{e.dashboard} · {e.place}")
def test_an_expression_names_only_what_is_published(expression):
    """
    Every expression is PromQL and asks for series and labels of the catalogue, or for what our rules record.
    """
    assert published_and_recorded().labels(expression.promql) is not None


@pytest.mark.parametrize("expression", SHOWN, ids=lambda e: f"{e.dashboard} · {e.place}")
def test_an_expression_is_right_with_several_exporters(expression):
    """
    No result tells by which exporter it was published, so none is counted, drawn or listed twice.
    """
    assert not published_and_recorded().labels(expression.promql) & {"instance", "pod"}


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_a_legend_names_whatever_tells_series_apart(panel):
    """
    Two series of a panel have different legends: every label of a result is in its legend, or is one that the source
    decides.
    """
    for target in (target for target in panel["targets"] if target.get("format") != "table"):
        labels = published_and_recorded().labels(interpolate(target["expr"]))
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))

        assert labels - named <= ({"job", "vendor", "api"} if "source" in named else {"job"}), target["legendFormat"]


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_legends_of_two_queries_differ(panel):
    """
    No two queries of a panel have the same legend.
    """
    legends = [target["legendFormat"] for target in panel["targets"] if target.get("format") != "table"]

    assert len(legends) == len(set(legends))


def test_numbers_are_exact():
    """
    No panel rounds numbers to thousands, as Grafana's unit `short` does.
    """
    assert "short" not in {panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS.values()}


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_a_panel_has_a_word_for_nothing(panel):
    """
    A panel that is empty says what that means, in words of its own.
    """
    assert panel["fieldConfig"]["defaults"]["noValue"] not in {"", "-", "0", "No data"}


def test_every_state_has_its_colour():
    """
    Room states and source states that the exporter knows are the ones that the dashboards draw.
    """
    assert set(RoomState) == set(occupancy.STATE_COLORS)
    assert set(SourceState) == set(sources.SOURCE_STATES)


def test_every_metric_is_shown():
    """
    There is no metric in the catalogue that no dashboard asks for.
    """
    asked = {node.name for expression in EXPRESSIONS for node in selectors(expression.promql)}

    assert [] == [metric.name for metric in CATALOGUE if not asked & {metric.name, f"{metric.name}_bucket"}]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda e: f"{e.dashboard} · {e.place}")
def test_no_panel_asks_for_every_room(expression):
    """
    With 100,000 rooms a panel may ask for a chosen room or for a recorded ranking, never for the series of all.
    """
    series = {*(metric.name for metric in ROOM_METRICS), recorded.NEAR_THRESHOLD}
    asked = [node for node in selectors(expression.promql) if node.name in series]

    assert all("room" in {matcher.name for matcher in node.matchers.matchers} for node in asked)


@pytest.mark.docs
def test_every_recorded_series_is_named():
    """
    The table in the page on PromQL has each series that the recording rules compute, and no other.
    """
    assert sorted(recorded.RECORDED) == sorted(re.findall(r"^\| `(\w+:\w+:\w+)` \|", PROMQL.text, re.MULTILINE))


def test_the_list_of_rooms_is_short():
    """
    The variable for the room asks for the fullest rooms that the filter leaves over, once, and for no more than 500.
    """
    room = variables(DASHBOARDS["room"])["room"]

    assert room["query"]["query"].startswith("query_result(topk(500, ")
    assert 2 == room["query"]["query"].count("${room_filter:regex}")
    assert 1 == room["refresh"]
