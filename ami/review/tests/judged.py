"""Samples with answers, for tests of their results; their occurrences need not exist."""

from collections.abc import Iterable
from typing import Any

from ami.base.tests.factories import make_project, make_user
from ami.main.models import Taxon
from ami.review.models import Judgement, Sample, SampleItem
from ami.users.models import User


def make_sample(*, items: int = 0, taxon: Taxon | None = None, **fields: Any) -> Sample:
    """A sample of a project with items that nobody has answered."""
    sample = Sample.objects.create(
        **{"name": "A sample", "source": "project", "seed": 1, "population": 10_000}
        | {"project": fields.pop("project", None) or make_project()}
        | fields
    )
    add_items(sample, items, taxon=taxon)
    return sample


def add_items(sample: Sample, number: int, **fields: Any) -> list[SampleItem]:
    start = sample.items.count() + 1
    return SampleItem.objects.bulk_create(
        SampleItem(sample=sample, position=place, occurrence_id=place, **fields)
        for place in range(start, start + number)
    )


def judge(
    items: Iterable[SampleItem], verdict: str, *, user: User | None = None, **fields: Any
) -> list[Judgement]:
    """Let one person give the same answer to these items, one after the other."""
    user = user or make_user()
    return [
        Judgement.objects.create(
            item=item, user=user, verdict=verdict, **{"blind": True, "seconds": 2} | fields
        )
        for item in items
    ]
