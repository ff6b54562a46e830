"""How the classifications of a detection follow from each other, from raw to flagged."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils.text import Truncator

from ami.base.links import change_link
from ami.base.words import in_words
from ami.jobs.models import Job
from ami.main.admin.classes import Class, top_classes
from ami.main.admin.runs import UNKNOWN, Run, describe_runs
from ami.main.admin.why import READ
from ami.main.models import Classification, Taxon
from ami.ml.models import Algorithm

STEPS = 200
WITH_CLASSES = 20
DEEPEST = 6  # levels that are indented
WARNINGS = "warnings"
HASH = re.compile(r"[0-9a-f]{32,}")
LEAST = 0.001  # share that is told
REMOVED = {
    "removed_mass": "{} of the probability removed",
    "unassigned_mass": "{} of the probability counted for no taxon of this rank",
}


class Step(NamedTuple):
    """One classification in the lineage of its detection; `depth` is 0 for a raw one.

    `mark` says what is special about it, such as that it decides.
    """

    row: Classification
    depth: int
    run: Run
    mark: str
    is_own: bool = False  # whether the page is about it
    classes: Sequence[Class] = ()  # the most probable ones, where the page shows them

    @property
    def css(self) -> str:
        state = "terminal" if self.row.terminal else "superseded"
        marked = " decides" if self.mark or self.is_own else ""
        return f"depth-{min(self.depth, DEEPEST)} {state}{marked}"

    @property
    def link(self) -> str:
        return change_link(Classification, self.row.pk)

    @property
    def taxon(self) -> str:
        return change_link(Taxon, self.row.taxon_id, self.row.taxon)

    @property
    def algorithm(self) -> str:
        return change_link(Algorithm, self.row.algorithm_id, self.row.algorithm)

    @property
    def job(self) -> str:
        pk = self.row.job_id
        return change_link(Job, pk, f"Job {pk}") if pk else ""

    @property
    def method(self) -> str:
        """The method of the run; of an unknown one its name."""
        job: Any = self.row.job
        return self.run.name or (Truncator(job.name).chars(60) if job else "")

    @property
    def state(self) -> str:
        return "terminal" if self.row.terminal else "intermediate"

    @property
    def notes(self) -> list[str]:
        """What the run has noted, apart from its options, hashes and warnings."""
        return notes(self.row.metadata, besides={*self.run.keys, WARNINGS})

    @property
    def warnings(self) -> list[str]:
        found = self.row.metadata.get(WARNINGS) if isinstance(self.row.metadata, dict) else None
        return [str(name).replace("_", " ") for name in found] if isinstance(found, list) else []

    @property
    def raw(self) -> str:
        """All that is stored with the classification and its run, as JSON."""
        job: Any = self.row.job
        stored = {"metadata": self.row.metadata} if self.row.metadata else {}
        return json.dumps(
            stored | ({"job": job.params} if job else {}), indent=2, ensure_ascii=False
        )

    @property
    def has_raw(self) -> bool:
        return bool(self.row.metadata or self.row.job_id)


def notes(metadata: Any, *, besides: Collection[str] = ()) -> list[str]:
    """Return the entries of a classification's metadata in words, without hashes."""
    if not isinstance(metadata, dict):
        return [Truncator(in_words(metadata)).chars(120)] if metadata else []
    return [
        _note(key, value)
        for key, value in metadata.items()
        if key not in besides and not (isinstance(value, str) and HASH.fullmatch(value))
    ]


def _note(key: str, value: Any) -> str:
    if key in REMOVED and isinstance(value, float | int):
        share = "less than 0.1%" if 0 < value < LEAST else f"{value:.1%}"
        return REMOVED[key].format(share)
    return f"{key.replace('_', ' ')} {Truncator(in_words(value)).chars(120)}"


def ordered(rows: Iterable[Classification]) -> list[tuple[int, Classification]]:
    """Return each classification with its depth, below the one that it is applied to.

    Rows that are applied to none of these, or to each other in a circle, have depth 0.
    """
    by_id = {row.pk: row for row in sorted(rows, key=lambda row: (row.timestamp, row.pk))}
    derived: dict[int | None, list[Classification]] = defaultdict(list)
    for row in by_id.values():
        derived[row.applied_to_id if row.applied_to_id in by_id else None].append(row)
    found: dict[int, tuple[int, Classification]] = {}
    # The last roots are the members of circles, unless the walk has already reached them.
    for root in (*derived[None], *by_id.values()):
        waiting = [(0, root)]
        while waiting:
            depth, row = waiting.pop()
            if row.pk not in found:
                found[row.pk] = (depth, row)
                waiting += [(depth + 1, one) for one in reversed(derived[row.pk])]
    return list(found.values())


class Lineages(NamedTuple):
    """The steps by detection, in the order of their lineage, and whether more are not shown."""

    of: dict[int, list[Step]]
    more: bool


def read_lineages(
    classifications: QuerySet[Classification],
    *,
    user: Any,
    best: int | None = None,
    mark: str = "decides",
) -> Lineages:
    """Read the lineages of detections in two queries, and one per model that options name.

    `best` is the id of the classification to mark.
    """
    rows = list(
        classifications.select_related("taxon", "algorithm", "job")
        .only(*READ, "applied_to_id", "metadata")
        .order_by("detection_id", "pk")[: STEPS + 1]
    )
    shown = rows[:STEPS]
    runs = describe_runs((row.job for row in shown if row.job), user=user)
    by_detection: dict[int, list[Classification]] = defaultdict(list)
    for row in shown:
        by_detection[row.detection_id].append(row)
    steps = {
        pk: [
            Step(row, depth, runs.get(row.job_id or 0, UNKNOWN), mark if row.pk == best else "")
            for depth, row in ordered(some)
        ]
        for pk, some in by_detection.items()
    }
    return Lineages(steps, len(rows) > STEPS)


def with_classes(steps: Sequence[Step]) -> list[Step]:
    """Add the most probable classes to the first `WITH_CLASSES` steps, in two queries."""
    classes = top_classes([step.row.pk for step in steps[:WITH_CLASSES]])
    return [step._replace(classes=classes.get(step.row.pk, [])) for step in steps]
