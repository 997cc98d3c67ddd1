"""
The command line. Exit codes: 0 success; 1 an error in a config, an address or a vendor's answer; 2 wrong usage; 3 the
rooms of a valid config do not fit their budgets.

An error that the user can correct is a ``UserError``, and only its text is printed. Any other exception is a bug: it is
printed with its traceback, also with exit code 1.

Each command imports its modules when it runs. The web server, the simulator and polling take half a second to load, and
``--version``, ``check`` and a container's health check need none of them.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exporter import STARTED, __version__, limits, logs, process
from exporter.errors import UserError
from exporter.text import printable, showable

if TYPE_CHECKING:
    from exporter.app import Exporter
    from exporter.cluster.protocols import MakeCluster
    from exporter.config import Config, SourceConfig
    from exporter.config.cluster import ClusterConfig
    from exporter.model import Room, Shard
    from exporter.polling.load import BudgetLoad, FoundLoad, SourceLoad
    from exporter.rooms import RoomsFiles

_Command = TypeVar("_Command", bound=Callable[..., Any])

_WRONG: Final = 1
_DO_NOT_FIT: Final = 3
_SCANNED_WITHIN: Final = 30.0
_MOST_SHARDS: Final = 1000
_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  # only if the address has no host


class _Commands(click.Group):
    """The group of all commands. ``--help`` lists them in the order of this module."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # as click calls it
        return [*self.commands]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            logs.flush()
            _print(str(error), err=True)
            ctx.exit(_WRONG)


def _flag(name: str, text: str, **more: Any) -> Callable[[_Command], _Command]:
    """A flag with its environment variable. The parameter's name is the flag's, with ``_`` for ``.`` and ``-``."""
    parameter = name.strip("-").replace(".", "_").replace("-", "_")
    twin = f"RTC_EXPORTER_{parameter.upper()}"
    return click.option(name, parameter, envvar=twin, help=text, show_envvar=True, show_default=True, **more)


def _file_flag(name: str, text: str, *, required: bool = False) -> Callable[[_Command], _Command]:
    return _flag(name, text, type=click.Path(path_type=Path), required=required)


def _config_file(*, required: bool = True) -> Callable[[_Command], _Command]:
    return _file_flag("--config.file", "The YAML file that says what to poll.", required=required)


def _listen_address(default: str) -> Callable[[_Command], _Command]:
    return _flag("--web.listen-address", "[host]:port to listen on.", default=default)


def _log_format(default: logs.Format) -> Callable[[_Command], _Command]:
    return _flag(
        "--log.format",
        "Form of a log line.",
        type=click.Choice([form.value for form in logs.Format]),
        default=default.value,
    )


def _replica(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    from exporter.config.cluster_schema import NAME, NAME_ACCEPTED

    if name is not None and not NAME.fullmatch(name):
        raise click.BadParameter(f"found {name!r}; accepted: {NAME_ACCEPTED}")
    return name


_TELEMETRY_PATH: Final = _flag("--web.telemetry-path", "Path of the metrics.", default="/metrics")
_WEB_CONFIG_FILE: Final = _file_flag(
    "--web.config.file", "The YAML file with TLS and users, in the exporter-toolkit's format."
)
_TOTAL_SHARDS: Final = _flag(
    "--total-shards", "Number of exporters that divide the sources.", type=click.IntRange(1, _MOST_SHARDS)
)
_LOG_LEVEL: Final = _flag(
    "--log.level",
    "Lowest level that is logged.",
    type=click.Choice([level.value for level in logs.Level], case_sensitive=False),
    default=logs.Level.INFO.value,
)


@click.group(cls=_Commands)
@click.version_option(
    __version__,
    message=f"rtc-room-exporter %(version)s (Python {platform.python_version()})",
    help="Print the version and leave.",
)
def app() -> None:
    """How many people are in each live room right now, from ZEGO, Tencent Cloud and Volcengine to Prometheus."""


@app.command("run")
@_config_file()
@_flag(
    "--cluster.replica",
    "Name of this replica of a cluster; default: that of the config, or the host's.",
    callback=_replica,
)
@_flag("--shard", "Which shard this is: from 0 on, or a name that ends with -0, -1, …")
@_TOTAL_SHARDS
@_listen_address(":9877")
@_TELEMETRY_PATH
@_flag("--web.enable-lifecycle", "Allow POST /-/reload.", is_flag=True)
@_flag("--web.grafana-url", "Grafana's URL, for links to the dashboards; empty: no links.", default="")
@_WEB_CONFIG_FILE
@_LOG_LEVEL
@_log_format(logs.Format.LOGFMT)
def run_command(
    config_file: Path,
    cluster_replica: str | None,
    shard: str | None,
    total_shards: int | None,
    web_listen_address: str,
    web_telemetry_path: str,
    web_enable_lifecycle: bool,
    web_grafana_url: str,
    web_config_file: Path | None,
    log_level: str,
    log_format: str,
) -> None:
    """
    Poll the vendors and serve /metrics.

    Runs until SIGTERM or SIGINT; SIGHUP reloads the config.
    """
    import uvloop

    from exporter.app import Exporter, WebOptions, run
    from exporter.config import load

    part = _shard(shard, total_shards)
    process.prepare()
    log = logs.configure(logs.Level(log_level), logs.Format(log_format))
    options = WebOptions(web_listen_address, web_telemetry_path, web_enable_lifecycle, web_grafana_url, web_config_file)

    async def main() -> None:
        def join(config: Config) -> MakeCluster | None:
            if config.cluster is None:
                return None
            from exporter.cluster.joining import joining

            return joining(config, cluster_replica, log, exporter.clock, exporter.raised, web_listen_address)

        exporter = Exporter(
            lambda: load(config_file, os.environ),
            printable(str(config_file)),
            options,
            log,
            process_started=STARTED,
            every_second=process.collect_garbage,
            shard=part,
            cluster=join,
        )
        exporter.telemetry.dropped_log_lines = logs.dropped

        def started() -> None:
            sources = exporter.sources
            counts = {"sources": len(sources.running), "rooms": sources.rooms, "open_files": limits.descriptors()}
            if part is not None:
                counts |= {"shard": part.ordinal, "total_shards": part.total}
            log.info("started", version=__version__, listening=exporter.web.url, **counts)

        await run(exporter, started)
        log.info("stopped")
        process.ignore_signals()

    uvloop.run(main())


def _shard(name: str | None, total: int | None) -> Shard | None:
    """
    The shard that two flags name; ``None`` without them.

    Raises:
        click.UsageError: One flag without the other, or no such shard.
    """
    if name is None and total is None:
        return None
    shard_flag, total_flag = (
        "'--shard' (env var: 'RTC_EXPORTER_SHARD')",
        "'--total-shards' (env var: 'RTC_EXPORTER_TOTAL_SHARDS')",
    )
    if name is None or total is None:
        found, missing = (total_flag, shard_flag) if name is None else (shard_flag, total_flag)
        raise click.UsageError(f"{found} is given, {missing} is missing.")
    from exporter.cluster.shards import shard_of

    try:
        return shard_of(name, total)
    except ValueError as error:
        raise click.UsageError(f"Invalid value for {shard_flag}: {error}.") from None


@app.command()
@_config_file(required=False)
@_TOTAL_SHARDS
@_WEB_CONFIG_FILE
@click.pass_context
def check(ctx: click.Context, config_file: Path | None, total_shards: int | None, web_config_file: Path | None) -> None:
    """
    Validate a config, and check whether its rooms fit.

    For each budget, prints the calls per second that its rooms need and that it allows. For each source, prints the
    interval that it can keep. With --total-shards, prints what each shard would poll. For a web config, prints what
    guards the port. Exit code 1: a config, or a file that it names, is wrong. Exit code 3: the rooms do not fit.
    """
    if config_file is None and web_config_file is None:
        flags = "'--config.file' (env var: 'RTC_EXPORTER_CONFIG_FILE') or '--web.config.file'"
        raise click.UsageError(f"Missing option {flags}.")
    exit_code, errors = 0, []
    try:
        if web_config_file is not None:
            _check_web_config(web_config_file)
    except UserError as error:
        errors.append(str(error))
    try:
        if config_file is not None:
            exit_code = _check_config(config_file, total_shards)
    except UserError as error:
        errors.append(str(error))
    if errors:
        raise UserError("\n".join(errors))
    ctx.exit(exit_code)


def _check_web_config(web_config_file: Path) -> None:
    from exporter.web.security.config import load_web_config

    config = load_web_config(web_config_file)
    for words in config.warnings:
        _print(f"warning: {words}", err=True)
    guards = f"the port is guarded by {', '.join(config.guards)}" if config.guards else "nothing guards the port"
    _print(f"{printable(str(web_config_file))}: valid, and {guards}")


def _check_config(config_file: Path, total_shards: int | None) -> int:
    """Check a config and print the result. Returns the exit code."""
    from exporter.config import load
    from exporter.polling.load import budget_loads, found_loads
    from exporter.web.page.wording import counted

    config = load(config_file, os.environ)
    watched = [(source, _scanned(source)) for source in config.sources]
    warnings = [*config.warnings, *(words for source, files in watched for words in _about_files(source, files))]
    for words in warnings:
        _print(f"warning: {words}", err=True)
    budgets = tuple(budget_loads((source, len(files.rooms)) for source, files in watched))
    for budget in budgets:
        _print_budget(budget)
    for source, files in watched:
        found = max(0, source.discovery.max_rooms - len(files.rooms)) if source.discovery else 0
        _print_series(source, files.rooms, found)
    for found_load in found_loads((source, len(files.rooms)) for source, files in watched):
        _print_found(found_load)
    if total_shards is not None:
        warnings += _print_shards(config, total_shards)
    warnings += _print_cluster(config)
    if errors := [state.error for _, files in watched for state in files.files.values() if state.error is not None]:
        raise UserError("\n".join(errors))
    tight = [budget.name for budget in budgets if not budget.fits]
    if tight:
        _print(f"rooms do not fit: {', '.join(tight)}", err=True)
        return _DO_NOT_FIT
    but = f", with {counted(len(warnings), 'warning')}" if warnings else ""
    _print(f"{printable(str(config_file))}: valid{but}, and its rooms fit their budgets")
    return 0


@app.command()
@click.argument("source", metavar="SOURCE")
@click.argument("room", metavar="ROOM", required=False)
@_config_file()
@_flag("--list", "Ask for the first page of the vendor's list of rooms instead.", is_flag=True)
def probe(source: str, room: str | None, config_file: Path, list: bool) -> None:  # noqa: A002 the flag's name
    """
    Ask a vendor once for one room, and show the whole call.

    SOURCE is the name of a source in the config. ROOM is the id of any room, watched or not. Prints the request, the
    reply and the reading, without secrets. The call uses one slot of a running exporter's budget.

    With --list and no ROOM it asks for one page of the vendor's list of rooms. It prints how many rooms there are, and
    the first ids.
    """
    if (room is None) is not list:
        raise click.UsageError("Give either ROOM or '--list' (env var: 'RTC_EXPORTER_LIST').")
    import uvloop

    from exporter.config import load
    from exporter.probe import probe as probe_room
    from exporter.probe import probe_list

    config = load(config_file, os.environ)
    found = next((candidate for candidate in config.sources if candidate.name == source), None)
    if found is None:
        names = ", ".join(candidate.name for candidate in config.sources)
        raise UserError(f"SOURCE: found {source!r}; accepted: {names}")
    if config.cluster is not None:
        _print_holder(config.cluster, found.budget)
    uvloop.run(probe_list(found, _print) if room is None else probe_room(found, room, _print))


def _print_holder(cluster: ClusterConfig, budget: str) -> None:
    """Print which replica of a cluster holds a budget now."""
    import asyncio

    from exporter.cluster.looking import look

    seen = asyncio.run(look(cluster))
    if seen.error is not None:
        _print(f"Which replica holds the budget {budget} is not known: {seen.error}.")
    else:
        owner = seen.owner(budget)
        _print(f"The budget {budget} is held by {f'replica {owner}' if owner else 'nobody'} now.")


@app.command()
@_listen_address("127.0.0.1:9877")
@_TELEMETRY_PATH
@_LOG_LEVEL
@_log_format(logs.Format.CONSOLE)
def demo(web_listen_address: str, web_telemetry_path: str, log_level: str, log_format: str) -> None:
    """
    Run simulator and exporter together, no credentials.

    Runs until SIGTERM or SIGINT.
    """
    import uvloop

    from exporter.app import WebOptions
    from exporter.demo import run_demo

    process.prepare()
    log = logs.configure(logs.Level(log_level), logs.Format(log_format))

    def started(exporter: Exporter, simulator_url: str) -> None:
        _print(f"Live rooms of six simulated vendor APIs:  {exporter.web.url}/")
        _print(f"Metrics for Prometheus:                    {exporter.web.url}{web_telemetry_path}")
        _print(f"The simulator's own truth:                 {simulator_url}/_sim")
        _print("Counts appear within seconds, the first readings of every room within ten. Ctrl+C ends it.")

    uvloop.run(run_demo(WebOptions(web_listen_address, web_telemetry_path, lifecycle=True), log, started))


@app.command()
@_listen_address("127.0.0.1:9878")
@_flag("--seed", "Same seed, same rooms and populations.", default=1)
def simulate(web_listen_address: str, seed: int) -> None:
    """
    Run the simulator of all vendors alone.

    Runs until SIGTERM or SIGINT.
    """
    import uvloop

    from exporter.address import Address
    from exporter.simulator import Settings, Simulator

    async def main() -> None:
        simulator = Simulator(Settings(seed=seed))
        address = Address.parse(web_listen_address)
        with address.raising_user_error():
            await simulator.start(address.host or _EVERY_ADDRESS, address.port)
        _print(f"Six simulated vendor APIs: {simulator.url}, their truth and credentials: {simulator.url}/_sim")
        with process.until_signal() as stopping:
            await stopping.wait()
        await simulator.stop()

    uvloop.run(main())


@app.command()
@_flag("--url", "Where the exporter is: scheme, host and port.", default="http://127.0.0.1:9877")
@_file_flag("--http.config.file", "The YAML file with basic_auth and tls_config, as Prometheus writes them.")
@_flag("--ready", "Ask whether it is ready.", is_flag=True)
def healthy(url: str, http_config_file: Path | None, ready: bool) -> None:
    """
    Ask a running exporter whether it is healthy.

    If it is not, or does not answer within 4 s, prints the reason and exits with code 1.
    """
    import asyncio

    from exporter.healthy import ask_health

    client = None
    if http_config_file is not None:
        from exporter.web.security.client import load_client_config

        client = load_client_config(http_config_file)
    asyncio.run(ask_health(url, client, "/-/ready" if ready else "/-/healthy"))
    _print("ready" if ready else "healthy")


@app.command()
def metrics() -> None:
    """Print the catalogue of metrics as a Markdown table."""
    _print(metrics_table())


@app.command()
def schema() -> None:
    """Print a config's JSON Schema, for editors."""
    from exporter.config import json_schema

    _print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def main() -> None:
    """Run the command line."""
    process.reserve_standard_streams()
    app(prog_name="rtc-room-exporter")


def metrics_table() -> str:
    """The catalogue of metrics in Markdown, as in docs/metrics.md."""
    from exporter.metrics.catalogue import CATALOGUE

    rows = [
        f"| `{metric.name}` | {metric.type} | {', '.join(metric.labels) or '–'} | {metric.help} |"
        for metric in CATALOGUE
    ]
    return "\n".join(["| metric | type | labels | help |", "|---|---|---|---|", *rows])


def _scanned(source: SourceConfig) -> RoomsFiles:
    """The rooms of a source, with those of its files."""
    from exporter.bounded import within
    from exporter.rooms import RoomsFiles

    files = RoomsFiles(source)
    try:
        within(_SCANNED_WITHIN, files.scan)
    except TimeoutError:
        reason = f"its rooms files cannot be looked at within {_SCANNED_WITHIN:g} s"
        raise UserError(f"source {source.name}: {reason}") from None
    return files


def _about_files(source: SourceConfig, files: RoomsFiles) -> Iterator[str]:
    """Warnings about a source's rooms files, in the same words as ``run`` logs them."""
    for pattern in files.unmatched():
        yield f"source {source.name}: no file matches {pattern}"
    for path, state in files.files.items():
        if state.warning is not None:
            yield f"{path}: {state.warning}"
    if source.rooms_files and not files.rooms:
        yield f"source {source.name}: watches no rooms"


def _print_budget(budget: BudgetLoad) -> None:
    from exporter.web.page.wording import counted

    verdict = "fits" if budget.fits else "DOES NOT FIT"
    _print(
        f"budget {budget.name}: {verdict}; {budget.needed:.2f} calls/s needed, {budget.allowed:g} calls/s allowed,"
        f" {budget.kept:.2f} calls/s kept"
    )
    for source in budget.sources:
        late = not source.fits
        _print(
            f"  source {source.config.name} ({source.config.api}): {counted(source.rooms, 'room')},"
            f" {counted(source.calls, 'call')} per interval of {source.config.interval:g}s,"
            f" can keep {source.kept_interval:.1f}s{_longest(source)}"
            f"{' (too slow: fewer rooms, a longer interval or a higher limit)' if late else ''}"
        )


def _print_series(source: SourceConfig, rooms: Iterable[Room], found: int) -> None:
    from exporter.metrics.expected import expected_series
    from exporter.web.page.wording import counted

    expected = expected_series(source, rooms, found)
    users = source.publish.min_users if source.publish else 0
    only = expected.rooms - expected.published
    words = [f"series of source {source.name}: "]
    if found or users:
        words.append("up to ")
    words.append(f"{expected.series:,} of {counted(expected.published, 'room')}")
    if users:
        words.append(f" with {counted(users, 'user')} or more")
    if source.publish and expected.own:
        words.append(f", {expected.own:,} with thresholds or labels of their own")
    if only:
        words.append(f"; {only:,} only counted, unless near a threshold or (up to {expected.troubled:,}) in trouble")
    _print("".join(words))


def _print_found(found: FoundLoad) -> None:
    from exporter.web.page.wording import counted

    source = found.source
    instead = "" if source.fits or source.config.longest else f" instead of {source.config.interval:g}s"
    _print(
        f"discovery of source {source.config.name}: up to {counted(source.rooms, 'room')};"
        f" so many are read every {source.kept_interval:.1f}s{instead}{_longest(source)}"
    )
    if lists := found.lists:
        late = "" if lists.fits else " (too slow: a longer interval, or a lower max_rooms)"
        _print(
            f"  list {lists.budget}: {counted(lists.calls, 'call')} and {lists.seconds:.1f}s for a pass every"
            f" {lists.interval:g}s, {lists.needed:.2f} calls/s needed, {lists.allowed:g} calls/s allowed{late}"
        )


def _longest(source: SourceLoad) -> str:
    """Whether a cadence's ``longest`` can hold, in words."""
    if source.config.longest is None:
        return ""
    wanted = f"longest: {source.config.longest:g}s"
    return f" on average, and {wanted}" if source.fits else f" at best, so {wanted} cannot hold"


def _print_cluster(config: Config) -> list[str]:
    """Print who shall hold each budget. Returns warnings, which are printed, too."""
    if config.cluster is None:
        return []
    import asyncio

    from exporter.cluster.looking import look, owners_to_be

    found = asyncio.run(look(config.cluster))
    for line in owners_to_be(config, config.cluster, found):
        _print(line)
    name = f"cluster {config.cluster.name}"
    if found.error is None:
        replicas = ", ".join(found.replicas) or "none yet"
        _print(f"{name}: {found.engine}; replicas: {replicas}")
    warnings = [f"{name}: {words}" for words in (*found.doubts, *([found.error] if found.error else []))]
    for words in warnings:
        _print(f"warning: {words}", err=True)
    return warnings


def _print_shards(config: Config, total: int) -> list[str]:
    """Print what each shard polls. Returns warnings, which are printed, too."""
    from exporter.cluster.shards import shares
    from exporter.web.page.wording import counted

    warnings = []
    for shard, units in shares(config.sources, total).items():
        budgets, sources = sum(len(unit.budgets) for unit in units), sum(len(unit.sources) for unit in units)
        load = sum(unit.load for unit in units)
        _print(f"shard {shard}: {counted(budgets, 'budget')}, {counted(sources, 'source')}, up to {load:.2f} calls/s")
        for unit in units:
            _print(f"  {', '.join(unit.budgets)}: {', '.join(unit.sources)}; up to {unit.load:.2f} calls/s")
        if not units:
            warnings.append(f"shard {shard} has nothing to poll")
    for words in warnings:
        _print(f"warning: {words}", err=True)
    return warnings


def _print(text: str, *, err: bool = False) -> None:
    """Print text, cleaned of characters that must not reach a terminal."""
    try:
        click.echo(showable(text, len(text)), err=err)
    except OSError as error:
        if err or error.errno == errno.EPIPE:  # click ends the command in silence if the reader has gone
            raise
        raise UserError(f"cannot write to standard output: {(error.strerror or 'an error').lower()}") from None
