"""PostgreSQL's plans for the choices of a form."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_capture_set, make_deployment
from ami.base.tests.plans import explain
from ami.main.models import (
    Classification,
    Detection,
    Occurrence,
    SourceImage,
    SourceImageCollection,
)
from ami.ml.models import Algorithm
from ami.ml.post_processing.admin import BasePostProcessingActionForm
from ami.ml.post_processing.class_masking.form import ClassMaskingActionForm
from ami.ml.post_processing.rank_rollup.form import RankRollupActionForm
from ami.ml.post_processing.tests.vectors import make_classifier

pytestmark = pytest.mark.django_db
LARGE_TABLES = {"main_classification", "main_detection"}


def make_many(classifier: Algorithm) -> None:
    """Occurrences on one capture each; a capture set contains a few of the captures."""
    trap = make_deployment()
    captures = SourceImage.objects.bulk_create(
        SourceImage(deployment=trap, project=trap.project, path=str(number))
        for number in range(1000)
    )
    occurrences = Occurrence.objects.bulk_create(Occurrence(project=trap.project) for _ in captures)
    detections = Detection.objects.bulk_create(
        Detection(source_image=capture, occurrence=occurrence)
        for capture, occurrence in zip(captures, occurrences, strict=True)
    )
    Classification.objects.bulk_create(
        Classification(detection=one, algorithm=classifier, logits=[0.0], score=0.5)
        for one in detections
    )
    make_capture_set(captures[::50])


@pytest.mark.parametrize("form_class", [ClassMaskingActionForm, RankRollupActionForm])
@pytest.mark.parametrize("model", [Occurrence, SourceImageCollection])
def test_no_large_table_is_read_as_a_whole(
    form_class: type[BasePostProcessingActionForm], model: Any
) -> None:
    make_many(make_classifier("a"))
    plan: list[dict[str, Any]] = []
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as queries:
            form_class(scope_queryset=model.objects.all())
        for query in queries:
            if query["sql"].startswith("SET LOCAL"):
                cursor.execute(query["sql"])
            elif any(f'"{table}"' in query["sql"] for table in LARGE_TABLES):
                plan += explain(query["sql"])
    scans = [node for node in plan if node.get("Relation Name") in LARGE_TABLES]
    assert {node["Relation Name"] for node in scans} == LARGE_TABLES
    assert [node for node in scans if not {"Index Cond", "Recheck Cond"} & set(node)] == []
