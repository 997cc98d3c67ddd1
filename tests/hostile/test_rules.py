"""
The rules of docs/architecture.md, "Outside input", as far as a machine can hold them: read in the source itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2] / "exporter"
MODULES: Final = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for path in sorted(ROOT.rglob("*.py"))
    if "simulator" not in path.parts  # it is the other side of the wire
}
TEXT_DOORS: Final = {"encodable", "showable"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """
    Every call in a module, by the dotted name of what is called.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def found(*names: str) -> set[str]:
    """
    Modules that call something of these names, or a method of that name where it begins with a dot.
    """
    return {
        module
        for module, tree in MODULES.items()
        for name, _ in calls(tree)
        if name in names or any(each.startswith(".") and name.endswith(each) for each in names)
    }


def test_files_are_opened_in_one_place():
    """
    But for the null device that stands in for closed streams, the key log that Python itself would open next, files
    in memory that a private key is loaded from, and what is installed with the exporter (style and script, its
    handbook, scripts for Redis), no file is opened, read or written but through the bounded reader.
    """
    opening = found("open", "io.open", "os.open", "os.fdopen", "os.mkfifo", "codecs.open", "linecache.getlines")
    reading = found(".read_text", ".read_bytes", ".write_text", ".write_bytes", "Path.open", ".open_binary")

    assert {"__main__.py", "bounded.py", "process.py", "web/security/tls.py"} == opening
    assert {"cluster/redis.py", "web/page/assets.py", "web/page/handbook.py"} == reading


def test_no_object_with_an_open_method_is_a_path():
    """
    What is called ``open`` elsewhere opens connections.
    """
    assert {"polling/client.py", "polling/lister.py", "polling/poller.py"} == found(".open") - {
        "__main__.py",
        "bounded.py",
        "process.py",
    }


def test_file_system_is_looked_at_in_few_places():
    """
    A ``stat`` on a dead mount hangs as a read does; those who make one do so in a thread that may be left behind.
    """
    names: tuple[str, ...] = (
        "os.stat",
        ".stat",
        "os.scandir",
        "os.listdir",
        "os.walk",
        ".glob",
        ".rglob",
        ".iterdir",
        ".exists",
    )
    names += (".is_file", ".is_dir", ".resolve", "os.path.exists", "os.path.realpath", ".readlink")

    others = {"cluster/dialing.py", "resolver.py", "polling/client.py", "web/page/handbook.py"}

    assert {"bounded.py", "rooms/folders.py"} == found(*names) - others


def test_lines_are_written_by_the_thread_of_the_log():
    """
    Nobody writes to a standard stream but the log's own thread, and commands, which have no loop to hold up.
    """
    writing = found("print", "sys.stdout.write", "sys.stderr.write", "click.echo", "click.secho", "os.write", ".flush")

    # Compressors, and a file in memory.
    flushing = {"metrics/exposition.py", "polling/client.py", "web/target_groups.py", "web/security/tls.py"}

    assert {"cli.py", "logs.py"} == writing - flushing


def test_commands_print_through_the_door():
    """
    One function of the command line prints, and what it prints has come through the door.
    """
    printing = [ast.unparse(node) for name, node in calls(MODULES["cli.py"]) if name == "click.echo"]

    assert ["click.echo(showable(text, len(text)), err=err)"] == printing


def test_every_format_of_the_log_has_the_door():
    """
    Whatever format is asked for, values pass the door before they become a line.
    """
    (formats,) = [
        node
        for node in ast.walk(MODULES["logs.py"])
        if isinstance(node, ast.FunctionDef) and node.name == "_final_processors"
    ]
    lists = [node for node in ast.walk(formats) if isinstance(node, ast.Return)]

    assert 3 == len(lists)
    assert all("_show" in ast.unparse(each) for each in lists)


@pytest.mark.parametrize(
    ("module", "function"), [("metrics/telemetry.py", "_encodable"), ("metrics/table.py", "escape_label")]
)
def test_labels_have_the_door(module, function):
    """
    Labels of rooms and all other labels are made by one function each, which calls it.
    """
    (defined,) = [
        node for node in ast.walk(MODULES[module]) if isinstance(node, ast.FunctionDef) and node.name == function
    ]

    assert TEXT_DOORS & {name for name, _ in calls(defined)}


def test_labels_are_made_nowhere_else():
    """
    A family gets a sample through ``add`` and ``add_durations``, and each of them passes the door.
    """
    adding = [
        ast.unparse(node.args[0])
        for tree in MODULES.values()
        for name, node in calls(tree)
        if name.endswith(".add_metric")
    ]

    assert ["_encodable(labels)"] * 2 == adding


def test_blocking_work_is_done_in_daemon_threads():
    """
    A thread of asyncio's own executor keeps the process from ending: nobody uses it but for the end of the renderer.
    """
    assert {"metrics/exposition.py"} == found("asyncio.to_thread")
    assert {"blocking.py", "metrics/exposition.py"} == found(".run_in_executor")
    assert {"blocking.py", "logs.py"} == found("threading.Thread")
    assert set() == found("time.sleep", "os.system", "subprocess.run", "subprocess.Popen", "socket.gethostbyname")
    assert {"resolver.py", "address.py"} == found("socket.getaddrinfo")


def test_vendors_codes_are_redacted():
    """
    A failure that a codec makes of a reply is heard of through the redaction alone.
    """
    poller = ast.unparse(MODULES["polling/poller.py"])

    assert "self._failed(call, call.redacted(outcome))" in poller
    assert "failures[room] = call.redacted(result)" in poller
    assert {"polling/poller.py", "probe.py"} == found(".codec.reply")
    assert "shown.clean(result.code)" in ast.unparse(MODULES["probe.py"])
