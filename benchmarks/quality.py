"""`python -m benchmarks.quality`: measure tracking on known tracks, and track consensus.

It tells how well tracking finds the links of known tracks, and how often each rule of track
consensus names synthetic individuals rightly.
"""

import os
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import django

EXPORT = Path(__file__).resolve().parents[2] / "shared/data/vermont-occurrences.json"


def main() -> None:
    parser = ArgumentParser("python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument(
        "export",
        nargs="?",
        type=Path,
        help="an occurrence export with known tracks, to measure tracking only; by default, the "
        "export in the folder `shared` is measured, and the tables in docs/reference/methods/ are "
        "updated",
    )
    named = parser.parse_args().export
    export = named or EXPORT
    if not export.exists():
        sys.exit(f"{os.path.relpath(export)} does not exist. Give an occurrence export to measure.")
    django.setup()
    links = import_module("benchmarks.links")  # Django must be set up before this import
    text = links.report(links.read_nights(export))
    sys.stdout.write(text)
    if not named:
        links.write_page(text)
        consensus = import_module("benchmarks.consensus_quality")
        table = consensus.report()
        sys.stdout.write(f"\n{table}")
        links.write_page(table, page=consensus.PAGE)


if __name__ == "__main__":
    main()
