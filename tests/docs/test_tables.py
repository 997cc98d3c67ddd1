"""
The documents' tables say what the code says. Where one does not, the failure shows the table to paste.
"""

import ast
import re
from collections.abc import Mapping
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from exporter import cli
from exporter.app import Exporter, WebOptions
from exporter.config import RESERVED_LABELS, json_schema
from exporter.config.rooms import RoomKeys, ThresholdKeys
from exporter.config.schema import Entry
from exporter.config.secrets import key_forms
from exporter.logs import Format, Level, configure
from exporter.metrics.catalogue import CATALOGUE
from exporter.model import Failure, FailureKind
from exporter.polling.load import TOLERANCE
from exporter.polling.pace import pace_kept
from exporter.states import RoomState, SourceState
from exporter.vendors import APIS
from exporter.vendors.source import INTERVAL, MAX_STALENESS, TIMEOUT, Source, parse_duration
from exporter.web.openapi import ROOMS_PARAMETERS
from tests.deploy.project import ROOT
from tests.docs import expected
from tests.docs.pages import CONFIGURATION, CONTRIBUTING, HTTP, METRICS, OPERATIONS, TROUBLESHOOTING, code
from tests.rules.promql import rules

pytestmark = pytest.mark.docs

MODELS: dict[str, type[BaseModel]] = {api: codec.source_model for api, codec in APIS.items()}
EVENT_LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}


def own_keys():
    """
    The rows of the table of one vendor's keys, as (key, APIs, default, meaning).
    """
    return [
        (code(key)[0], code(apis), default, meaning)
        for key, apis, default, meaning in CONFIGURATION.tables("Config keys")[1]
    ]


def troubles():
    """
    Every vendor's code in the table of troubles, with the reason beside it.
    """
    cells = [row[0] for row in TROUBLESHOOTING.tables("Symptoms")[0]]
    named = [(found[1], code(cell)) for cell in cells if (found := re.search(r"reason=(\w+) code=", cell))]
    return [(reason, text.rpartition("=")[2]) for reason, texts in named for text in texts]


@pytest.mark.parametrize(
    ("table", "page"),
    [
        (expected.command_table, CONFIGURATION),
        (expected.flag_table, CONFIGURATION),
        (expected.discovery_table, CONFIGURATION),
        (expected.listener_table, CONFIGURATION),
        (expected.cluster_table, CONFIGURATION),
        (expected.api_table, OPERATIONS),
        (expected.make_table, CONTRIBUTING),
        (cli.metrics_table, METRICS),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_table_is_as_the_code_has_it(table, page):
    """
    Commands, flags, limits, make's targets and metrics: same names, same words, nothing more and nothing less.
    """
    assert table() in page.text


def test_as_many_rooms_fit_as_is_said():
    """
    The round numbers of the table are within what `check` lets pass, and a tenth more is not.
    """
    for _, batch, limit, interval, rooms, *_ in OPERATIONS.tables("Sizing")[0]:
        if batch == "all":
            continue  # not the limit bounds them, but the size of a reply
        calls = int(rooms.replace(",", "")) / int(batch)
        late = calls / pace_kept(float(limit)) / parse_duration(interval)
        assert late <= TOLERANCE < 1.1 * late


def test_the_metrics_are_those_of_the_catalogue():
    """
    Name, type, labels and help of every metric, each once and in the catalogue's order.
    """
    rows = METRICS.tables("All metrics")[0]

    assert [
        [f"`{metric.name}`", metric.type, ", ".join(metric.labels) or "–", metric.help] for metric in CATALOGUE
    ] == rows


def test_the_exit_codes_are_those_of_the_command_line():
    """
    0 and 2 are everybody's; 1 and 3 are ours.
    """
    assert ["0", str(cli._WRONG), "2", str(cli._DO_NOT_FIT)] == [row[0] for row in CONFIGURATION.tables("Commands")[1]]


def test_the_keys_of_every_source_are_those_of_the_model():
    """
    What all APIs accept stands in the first table, once, and required is what cannot be left out.
    """
    rows = {code(key)[0]: default for key, default, _ in CONFIGURATION.tables("Config keys")[0]}

    assert Entry.model_fields.keys() == rows.keys()
    assert {name for name, field in Source.model_fields.items() if field.is_required()} == {
        name for name, default in rows.items() if default == "required"
    }
    assert Source.model_fields["timeout"].default == parse_duration(rows["timeout"])
    assert str(Source.model_fields["allow_http"].default).lower() == rows["allow_http"]
    assert "all but `user_seconds`" == rows["families"]
    assert {"none"} == {rows[name] for name in Entry.model_fields.keys() - Source.model_fields.keys() - {"families"}}


def families_of(expression: str, recorded: Mapping[str, str]) -> set[str]:
    """
    The families of room series that an expression reads, also by way of recorded series.
    """
    names = set(re.findall(r"[a-z]+:[\w:]+|rtc_room_\w+", expression))
    others = {name: made_of for name, made_of in recorded.items() if name not in names}
    through = [families_of(recorded[name], others) for name in names & recorded.keys()]
    return {name.removeprefix("rtc_room_") for name in names if name.startswith("rtc_room_")}.union(*through)


def test_the_families_that_alerts_on_rooms_need_are_those_of_their_expressions():
    """
    Every alert that reads series of rooms is in the table.
    """
    every = [*rules("alerts.yml"), *rules("recording.yml")]
    recorded = {rule["record"]: rule["expr"] for rule in every if "record" in rule}
    needed = {rule["alert"]: families_of(rule["expr"], recorded) for rule in every if "alert" in rule}
    rows = CONFIGURATION.tables("Which rooms have series")[1]

    assert {alert: families for alert, families in needed.items() if families} == {
        alert: set(code(families)) for alerts, families in rows for alert in code(alerts)
    }


@pytest.mark.parametrize("api", APIS)
def test_the_default_intervals_are_those_of_the_apis(api):
    """
    10s for most, and what is said of one API holds for it.
    """
    (cell,) = [default for key, default, _ in CONFIGURATION.tables("Config keys")[0] if code(key) == ["interval"]]
    usual, *others = cell.split("; ")
    intervals = dict.fromkeys(APIS, usual) | {code(other)[0]: other.split()[1] for other in others}

    assert APIS[api].default_interval == parse_duration(intervals[api])


def test_the_bounds_of_durations_are_told():
    """
    Whoever writes a duration knows how short or long it may be.
    """
    rows = {code(key)[0]: meaning for key, _, meaning in CONFIGURATION.tables("Config keys")[0]}

    bounds = {"interval": INTERVAL, "timeout": TIMEOUT, "max_staleness": MAX_STALENESS}
    assert [] == [name for name, words in bounds.items() if words not in rows[name]]


@pytest.mark.parametrize("api", APIS)
def test_the_keys_of_one_vendor_are_those_of_its_model(api):
    """
    Credentials and regions of each API: the keys, the forms of secrets, what is required and the defaults.
    """
    model = APIS[api].source_model
    told: dict[str, str] = {}
    for key, apis, default, meaning in own_keys():
        if api in apis:
            secret = key in model.secret_fields()
            assert secret == meaning.startswith("Secret: ")
            assert not secret or list(key_forms(key)[1:]) == code(meaning)
            told |= dict.fromkeys(key_forms(key) if secret else [key], default)

    fields = {name: info for name, info in model.model_fields.items() if name not in Source.model_fields}
    entry: Any = json_schema()["$defs"]
    assert entry[model.__name__]["properties"].keys() - Entry.model_fields.keys() == told.keys()
    for name, info in fields.items():
        default = {PydanticUndefined: "required", None: "none"}.get(info.default, str(info.default))
        assert (default.lower() if info.annotation is bool else default) == told[name]


def test_the_regions_are_those_that_the_vendors_have():
    """
    Every name that `region` accepts is in the table, and no other.
    """
    listed = {api: code(meaning) for key, apis, _, meaning in own_keys() if key == "region" for api in apis}

    for api, regions in listed.items():
        accepted = get_args(MODELS[api].model_fields["region"].annotation)
        assert not accepted or [*accepted] == regions


def test_the_keys_of_a_room_are_those_of_the_config():
    """
    `id`, `labels`, `thresholds`; the labels that a room may not have; the thresholds that there are.
    """
    rows = {code(key)[0]: meaning for key, meaning in CONFIGURATION.tables("Config keys")[2]}

    assert RoomKeys.model_fields.keys() == rows.keys()
    assert {*RESERVED_LABELS, "rtc_room_info", "__"} == {*code(rows["labels"])}
    assert all(f"{name}: …" in CONFIGURATION.section("Config keys") for name in ThresholdKeys.model_fields)


def test_the_endpoints_are_those_of_the_server():
    """
    Every route with its method, those of the page's own pictures and styles left out.
    """
    exporter = Exporter(dict, "", WebOptions(), configure(Level.ERROR, Format.LOGFMT))  # type: ignore[arg-type]  # never loads
    routes = {(route.method, route.resource.canonical) for route in exporter.web._app.router.routes() if route.resource}

    assert {route for route in routes if route[0] != "HEAD" and not route[1].startswith("/static/")} == {
        (method, code(path)[0]) for method, path, _ in HTTP.tables("Endpoints")[0]
    }


def test_the_parameters_of_the_rooms_are_those_of_the_server():
    """
    Filters and paging of /api/v1/rooms.
    """
    (answer,) = [answer for _, path, answer in HTTP.tables("Endpoints")[0] if code(path) == ["/api/v1/rooms"]]

    assert [*ROOMS_PARAMETERS] == code(answer.partition("Parameters: ")[2].partition(". ")[0])


def test_states_and_reasons_are_those_of_the_labels():
    """
    What a graph's legend shows is explained.
    """
    states, reasons = METRICS.tables("Labels with fixed values")

    assert [*SourceState] == [code(row[0])[0] for row in states]
    assert [*FailureKind] == [code(row[0])[0] for row in reasons]
    assert {*RoomState} == {code(row[-1])[0] for row in METRICS.tables("What a number means")[0]}


def test_what_each_api_counts_is_told():
    """
    No API is without a word on how old its counts are, and which of the vendor's calls they come from.
    """
    calls = dict(code(row[0]) for row in METRICS.tables("What a number means")[1])

    assert [*APIS] == [*calls]
    texts = {api: (ROOT / f"exporter/vendors/{api}.py").read_text(encoding="utf-8") for api in calls}
    assert [] == [api for api, call in calls.items() if call not in texts[api]]


@pytest.mark.parametrize(("reason", "code_"), troubles(), ids=lambda name: name)
def test_a_code_in_troubleshooting_has_that_reason(reason, code_):
    """
    Whoever searches the page for a code from the log finds it beside the reason that the log gave it.
    """
    number = code_ if code_.isdecimal() else "0"
    bodies = (
        f'{{"Code": {number}, "ActionStatus": "FAIL", "ErrorCode": {number}}}',
        f'{{"ResponseMetadata": {{"Error": {{"Code": "{code_}"}}}}}}',
    )
    outcomes = [codec.reply(("r",), 200, {}, body.encode()) for codec in APIS.values() for body in bodies]

    known = [outcome for outcome in outcomes if isinstance(outcome, Failure) and outcome.code == code_]
    assert reason in {failure.kind for failure in known if "does not list" not in failure.words}


def test_the_events_are_those_that_the_code_logs():
    """
    Every line above `debug` that the exporter can write is explained, with its level.
    """
    logged = set()
    for path in (ROOT / "exporter").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in EVENT_LEVELS
                and re.search(r"\blog$|_log$", ast.unparse(node.func.value))
                and isinstance(node.args[0], ast.Constant)
            ):
                logged.add((node.args[0].value, EVENT_LEVELS[node.func.attr]))

    assert logged == {(code(event)[0], level) for event, level, _ in TROUBLESHOOTING.tables("What the log says")[0]}
