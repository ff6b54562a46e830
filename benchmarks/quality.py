"""`python -m benchmarks.quality`: how well tracking finds the links of known tracks."""

import sys
from importlib import import_module
from pathlib import Path

import django

EXPORT = Path(__file__).resolve().parents[2] / "shared/data/vermont-occurrences.json"


def main() -> None:
    if not EXPORT.exists():
        sys.exit(f"{EXPORT} is absent: the known tracks are read from it.")
    django.setup()
    links = import_module("benchmarks.links")  # needs Django to be ready
    text = links.report(links.read_nights(EXPORT))
    sys.stdout.write(text)
    links.write_page(text)


if __name__ == "__main__":
    main()
