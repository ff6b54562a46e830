"""Figures, the table that shows them, and the files that store them."""

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import django
from django.db import connection

from benchmarks import FOLDER

RESULTS = FOLDER / "results"
PAGE = FOLDER.parent / "docs" / "figures.md"
BEGIN, END = "<!-- begin -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Figure:
    """One number and its target."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        if self.at_most is not None and self.value > self.at_most:
            return False
        return self.at_least is None or self.value >= self.at_least

    @property
    def cells(self) -> tuple[str, str, str]:
        target = ""
        if self.at_most is not None:
            target = f"at most {_number(self.at_most)}"
        if self.at_least is not None:
            target = f"at least {_number(self.at_least)}"
        return self.name, f"{_number(self.value)} {self.unit}".strip(), target


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def text_table(figures: list[Figure]) -> str:
    rows = [("figure", "value", "target"), *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}".rstrip() for a, b, c in rows]
    missed = [f"Missed: {figure.name}." for figure in figures if not figure.met]
    return "\n".join([*lines, *missed]) + "\n"


def write_result(name: str, title: str, figures: list[Figure]) -> None:
    """Store the figures as JSON, and update the page of figures."""
    result = {
        "title": title,
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "figures": [vars(figure) | {"met": figure.met} for figure in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    write_page()


def write_page() -> None:
    """Write the results as tables between the markers in `docs/figures.md`."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    PAGE.write_text(before + BEGIN + "\n".join(map(_section, results)) + END + after)


def _section(result: dict[str, Any]) -> str:
    machine = result["machine"]
    lines = [
        f"## {result['title']}\n",
        f"Measured on {result['measured']}: {machine['cores']} cores, {machine['memory_gb']} GB of "
        f"memory, {machine['system']}, PostgreSQL {machine['postgresql']}, Python "
        f"{machine['python']}, Django {machine['django']}.\n",
        "| figure | value | target | |",
        "|---|---:|---|---|",
    ]
    for fields in result["figures"]:
        met = fields.pop("met")
        figure = Figure(**fields)
        verdict = ("met" if met else "**missed**") if figure.cells[2] else ""
        lines.append(f"| {' | '.join(figure.cells)} | {verdict} |")
    return "\n".join(lines) + "\n"


def _machine() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (postgresql,) = cursor.fetchone()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "postgresql": postgresql.split()[0],
        "python": platform.python_version(),
        "django": django.get_version(),
    }
