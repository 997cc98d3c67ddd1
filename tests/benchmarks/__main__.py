"""The command line: runs benches one after the other, prints one table, and keeps it in RESULTS.md."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks import setting
from tests.benchmarks.benches import BENCHES
from tests.benchmarks.report import Row, broken, markdown, missed, raw
from tests.benchmarks.scale import FULL, QUICK, Scale

RESULTS: Final = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Exit code 1 if a bar is missed."""
    options = _options()
    scale = QUICK if options.quick else FULL
    setting.python_peers()
    rows = _run(options.only or list(BENCHES), scale)
    table = f"{_heading(scale)}\n\n{markdown(rows)}\n"
    print(table)
    if not options.quick and not options.only:
        RESULTS.write_text(f"# Benchmarks: the last full run\n\n{table}\n```\n{raw(rows)}\n```\n")
    for row in missed(rows):
        print(f"missed: {row.bench}: {row.what}", file=sys.stderr)
    return bool(missed(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHES, metavar="NAME", help=f"some of {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="a first look: fewer samples; RESULTS.md stays as it is")
    return parser.parse_args()


def _run(names: list[str], scale: Scale) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            rows.extend(BENCHES[name](scale))
        except Exception as error:  # noqa: BLE001  # the other benches still have something to say
            traceback.print_exc()
            rows.append(broken(name, error))
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return rows


def _heading(scale: Scale) -> str:
    return "\n".join(
        [
            f"- {datetime.now(UTC):%Y-%m-%d}, {scale}",
            f"- {setting.machine()}",
            f"- {setting.versions()}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
