"""Options that are compared from one reading give the names of one run with each of them."""

from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_user
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    SourceImageCollection,
    Taxon,
)
from ami.ml.post_processing.batches import OCCURRENCE
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.tests.every import make_rows_for
from ami.review.sweep import one_pass
from ami.review.sweep.answers import read_answers
from ami.review.tests.real_runs import names_after
from ami.testing.records import exactly, rows

pytestmark = pytest.mark.django_db
NEVER = 1e6  # seconds

# The options to compare, by method.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "small_size_filter": [{"size_threshold": value} for value in (1e-9, 0.0008, 0.01, 0.9)],
    "class_masking": [
        *({"removed_mass_limit": value} for value in (0.01, 0.25, 0.5, 0.9, 0.999)),
        {},
        {"only_when_taxon_changes": True},
        {"only_when_taxon_changes": True, "removed_mass_limit": 0.3},
        {"reweight": False},
    ],
    "rank_rollup": [
        *({"thresholds": {"SPECIES": 0.8, "GENUS": value}} for value in (0.01, 0.4, 0.6, 1)),
        *({"thresholds": {"SPECIES": value, "FAMILY": 0.5}} for value in (0.01, 0.4, 0.9)),
        *({"thresholds": {"FAMILY": value}, "lineage": "global"} for value in (0.01, 0.5, 1)),
    ],
    "tracking": [
        *({"geometry_cost_threshold": value} for value in (1e-9, 0.15, 0.5, 3)),
        *({"max_gap_captures": value} for value in (2, 3)),
        {"max_gap_seconds": 30},
    ],
    "track_consensus": [
        *({"min_frames": value} for value in (2, 3, 4)),
        *({"temperature": value} for value in (0.1, 3, 10)),
        *({"rule": rule, "min_frames": 3} for rule in ("log_mean", "best")),
    ],
    "static_boxes": [{"iou": value} for value in (0.5, 0.7, 0.75, 0.9, 1)],
}
each = pytest.mark.parametrize("key", sorted(OPTIONS))


def test_each_method_compares() -> None:
    assert set(OPTIONS) == set(POSTPROCESSING_TASKS)
    assert all(task_cls.compares() for task_cls in POSTPROCESSING_TASKS.values())


def make_rows(key: str, *, nights: int = 3) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Rows of the method; a person has named each occurrence, which has two detections or one."""
    made = make_rows_for(key, nights=nights)
    placed = Detection.objects.filter(occurrence__isnull=False).order_by("pk")
    for _, night in groupby(
        placed.select_related("source_image"), attrgetter("source_image.event_id")
    ):
        own = list(night)
        for first, second in zip(own[::2], own[1::2], strict=False):
            Detection.objects.filter(pk=second.pk).update(occurrence=first.occurrence)
    for place, row in enumerate(Classification.objects.order_by("pk")):
        Classification.objects.filter(pk=row.pk).update(score=place % 4 / 4)
    taxon, person = Taxon.objects.earliest("pk"), make_user()
    Identification.objects.all().delete()
    Identification.objects.bulk_create(
        Identification(occurrence=occurrence, taxon=taxon, user=person)
        for occurrence in Occurrence.objects.filter(detections__isnull=False).distinct()
    )
    return lambda options: {**made.config, **options}


def chosen_set() -> Chosen:
    return Chosen(SCOPES[0], [SourceImageCollection.objects.latest("pk").pk], foreign=[])


@each
def test_they_give_the_names_of_the_runs(key: str) -> None:
    task_cls, with_scope = POSTPROCESSING_TASKS[key], make_rows(key)
    configs = [with_scope(options) for options in OPTIONS[key]]
    for config in (None, configs[-1], configs[0], configs[2]):
        if config is not None:  # compare what a former run has left
            task_cls(**config).run()
        answers = read_answers(task_cls, chosen_set())
        assert len(answers.occurrences) > 10
        state = exactly(rows())
        given: Any = (task_cls, configs, chosen_set(), answers)
        _, after = one_pass.in_one_pass(*given, seconds=NEVER)
        expected = [names_after(task_cls, config, answers) for config in configs]
        assert [names.tolist() for names in after] == expected
        assert exactly(rows()) == state, "nothing is written"


@each
def test_they_differ(key: str) -> None:
    task_cls, with_scope = POSTPROCESSING_TASKS[key], make_rows(key)
    configs = [with_scope(options) for options in OPTIONS[key]]
    answers = read_answers(task_cls, chosen_set())
    _, after = one_pass.in_one_pass(task_cls, configs, chosen_set(), answers, seconds=NEVER)
    assert len({tuple(names.tolist()) for names in after}) > 1


@each
def test_queries_grow_neither_with_the_values_nor_with_the_rows(key: str) -> None:
    def queries(nights: int, values: int) -> int:
        with transaction.atomic():
            with_scope = make_rows(key, nights=nights)
            configs = [with_scope(OPTIONS[key][0]) for _ in range(values)]
            answers = read_answers(task_cls, chosen_set())
            with CaptureQueriesContext(connection) as seen:
                one_pass.in_one_pass(task_cls, configs, chosen_set(), answers, seconds=NEVER)
            transaction.set_rollback(True)
        return len(seen)

    task_cls = POSTPROCESSING_TASKS[key]
    assert queries(1, 2) == queries(4 if task_cls.unit == OCCURRENCE else 1, 40)
