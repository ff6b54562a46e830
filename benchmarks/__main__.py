"""`python -m benchmarks [NAME …] [--quick]`."""

import argparse
import sys
from importlib import import_module

from benchmarks import set_up

BENCHMARKS = (
    "small_size_filter",
    "class_masking",
    "rank_rollup",
    "static_boxes",
    "track_consensus",
    "tracking",
    "engine",
    "checks",
    "changelists",
    "pages",
    "members",
    "load",
    "preview",
    "export",
    "imports",
    "antenna",
    "effect",
    "sweep",
    "start",
    "sample",
)
# Only if named: it takes hours.
LONG = ("growth",)
CHOICES = (*BENCHMARKS, *LONG)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(CHOICES)}")
    parser.add_argument(
        "--quick", action="store_true", help="use few rows and one round, and store no results"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names).difference(CHOICES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(CHOICES)}")
    set_up()
    missed = [
        figure
        for name in arguments.names or BENCHMARKS
        for figure in run(name, quick=arguments.quick)
    ]
    sys.exit("Targets were missed." if missed and not arguments.quick else 0)


def run(name: str, *, quick: bool) -> list[str]:
    """Run one benchmark, print and store its figures; return those that miss their target."""
    report = import_module("benchmarks.report")  # Django must be set up before these imports
    benchmark = import_module(f"benchmarks.{name}")
    figures = benchmark.run(quick=quick)
    sys.stdout.write(f"\n{benchmark.TITLE}\n\n{report.text_table(figures)}")
    if not quick:
        report.write_result(name, benchmark.TITLE, figures)
    return [figure.name for figure in figures if not figure.met]


if __name__ == "__main__":
    main()
