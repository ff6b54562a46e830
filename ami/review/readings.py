"""The answers about a sample: which of them count, and who gave them.

Each person has one answer per item: the latest one that they have not withdrawn. The person who
first answered an item decides it; "skipped" is not an answer. Further answers are kept, and count
for the agreement of readers only.
"""

from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from ami.review.models import Judgement, Sample

Verdict = Judgement.Verdict

# For each item, the run of the best classification with the name that is judged.
RUNS = """
SELECT DISTINCT ON (i.id) i.id, c.job_id
FROM review_sampleitem i
JOIN main_occurrence o ON o.id = i.occurrence_id AND o.project_id = %s
JOIN main_detection d ON d.occurrence_id = i.occurrence_id
JOIN main_classification c ON c.detection_id = d.id AND c.taxon_id = i.taxon_id
WHERE i.sample_id = %s
ORDER BY i.id, c.terminal DESC, c.score DESC NULLS LAST, c.timestamp DESC, c.id DESC
"""
ITEM = (
    "pk",
    "position",
    "stratum",
    "occurrence_id",
    "taxon_id",
    "taxon__name",
    "taxon_before_id",
    "taxon_before__name",
    "score",
    "is_double",
)
ANSWER = (
    "pk",
    "item_id",
    "user_id",
    "user__name",
    "user__email",
    "verdict",
    "taxon__name",
    "blind",
    "seconds",
    "created_at",
    "withdrawn",
)


class Item(NamedTuple):
    """An occurrence of the sample as it was drawn, and the run that gave its name, if one did."""

    pk: int
    position: int
    stratum: int
    occurrence_id: int
    taxon_id: int | None
    taxon: str | None
    taxon_before_id: int | None
    taxon_before: str | None
    score: float | None
    is_double: bool
    run: int | None


class Answer(NamedTuple):
    """What one person says about one item."""

    pk: int
    item_id: int
    user_id: int | None
    user_name: str | None
    email: str | None
    verdict: str
    taxon: str | None
    blind: bool
    seconds: float | None
    created_at: datetime
    withdrawn: bool

    @property
    def reader(self) -> str:
        return self.user_name or self.email or "a former user"

    @property
    def is_skipped(self) -> bool:
        return self.verdict == Verdict.SKIPPED


class Reading(NamedTuple):
    """An item and the present answers about it, one per person, in the order of their first."""

    item: Item
    answers: list[Answer]

    @property
    def decisive(self) -> Answer | None:
        """The answer that counts; None if nobody has answered."""
        return next((answer for answer in self.answers if not answer.is_skipped), None)

    @property
    def verdict(self) -> str:
        """The verdict that counts; "" if nobody has looked at the item."""
        if answer := self.decisive:
            return answer.verdict
        return Verdict.SKIPPED.value if self.answers else ""


def read(sample: Sample) -> list[Reading]:
    """Read all items of a sample with their answers, in three queries."""
    answers = _answers(sample)
    runs = _runs(sample)
    rows = sample.items.order_by("position").values_list(*ITEM)
    return [Reading(Item._make((*row, runs.get(row[0]))), answers.get(row[0], [])) for row in rows]


def _answers(sample: Sample) -> dict[int, list[Answer]]:
    rows = Judgement.objects.filter(item__sample=sample).order_by("pk").values_list(*ANSWER)
    standing: dict[int, dict[int, Answer | None]] = defaultdict(dict)
    for answer in (Answer(*row) for row in rows):
        of_item = standing[answer.item_id]
        # Of a person whose account was deleted, at most one answer about an item stands.
        person = answer.user_id or -answer.pk
        # A person keeps the place of their first answer, even if they took it back.
        former = of_item.setdefault(person, None)
        of_item[person] = former if answer.withdrawn else answer
    return {
        pk: found
        for pk, of_item in standing.items()
        if (found := [answer for answer in of_item.values() if answer])
    }


def _runs(sample: Sample) -> dict[int, Any]:
    """The runs of the items; a Job from which the sample was drawn gave the names it changed."""
    with connection.cursor() as cursor:
        cursor.execute(RUNS, [sample.project_id, sample.pk])
        runs: dict[int, Any] = dict(cursor.fetchall())
    if sample.source == Sample.Source.JOB:
        items = sample.items.values_list("pk", "taxon_id", "taxon_before_id")
        runs |= {pk: sample.source_id for pk, after, before in items if after != before}
    return runs
