"""The lineage of a detection: which classification is applied to which."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import (
    NIGHT,
    make_algorithm,
    make_classification,
    make_detection,
    make_user,
)
from ami.jobs.models import Job
from ami.main.access import Role
from ami.main.admin.lineage import STEPS, notes, ordered, read_lineages
from ami.main.models import Classification, Detection, Project, TaxaList
from ami.main.tests.projects import make_members


def row(pk: int, applied_to: int | None = None, minutes: int = 0) -> Classification:
    return Classification(
        pk=pk, applied_to_id=applied_to, timestamp=NIGHT + timedelta(minutes=minutes)
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([row(3, 2), row(2, 1), row(1)], [(0, 1), (1, 2), (2, 3)]),
        ([row(1), row(2), row(3, 1), row(4, 2)], [(0, 1), (1, 3), (0, 2), (1, 4)]),
        ([row(1), row(2, 1, minutes=5), row(3, 1)], [(0, 1), (1, 3), (1, 2)]),
        ([row(2, 99)], [(0, 2)]),
        ([row(1, 1)], [(0, 1)]),
        ([row(1, 2), row(2, 1), row(3, 2), row(4)], [(0, 4), (0, 1), (1, 2), (2, 3)]),
    ],
)
def test_each_one_comes_below_that_to_which_it_is_applied(
    rows: list[Classification], expected: list[tuple[int, int]]
) -> None:
    assert [(depth, one.pk) for depth, one in ordered(rows)] == expected


def test_notes_leave_hashes_and_options_out() -> None:
    metadata = {"removed_mass": 0.357, "kept_labels": "0" * 64, "lineage": "global", "size": 2}
    assert notes(metadata, besides={"lineage"}) == ["35.7% of the probability removed", "size 2"]
    assert notes({"removed_mass": 9e-5}) == ["less than 0.1% of the probability removed"]
    assert notes("odd") == ["odd"]
    assert notes([]) == []
    assert notes({"removed_mass": "odd"}) == ["removed mass odd"]


def masking(taxa_list: TaxaList, **fields: Any) -> Job:
    config = {
        "taxa_list_id": taxa_list.pk,
        "reweight": False,
        "algorithm_id": None,
        "only_when_taxon_changes": False,  # as by default
    }
    return Job.objects.create(
        **{
            "name": "Masking",
            "job_type_key": "post_processing",
            "params": {"task": "class_masking", "config": config},
        }
        | fields
    )


@pytest.mark.django_db
class TestReading:
    @pytest.fixture
    def detection(self) -> Detection:
        return make_detection()

    def read(self, detection: Detection, user: Any) -> Any:
        rows = detection.classifications.all()
        return read_lineages(rows, user=user).of[detection.pk]

    def test_a_step_has_the_method_and_options_of_its_run(self, detection: Detection) -> None:
        job = masking(TaxaList.objects.create(name="Quebec"))
        make_classification(detection=detection, job=job)
        (step,) = self.read(detection, make_user(is_staff=True, is_superuser=True))
        assert step.method == "Class masking"
        (listed, reweight) = step.run.options
        assert listed[0] == "Taxa list"
        assert ">Quebec</a>" in listed[1]
        assert reweight == ("Reweight", "no")

    def test_a_foreign_list_has_no_name(self, detection: Detection) -> None:
        taxa_list = TaxaList.objects.create(name="Secret")
        taxa_list.projects.add(Project.objects.create(name="Foreign"))
        make_classification(detection=detection, job=masking(taxa_list))
        project = detection.source_image.project
        assert project is not None
        (step,) = self.read(detection, make_members(project)[Role.VIEWER])
        assert step.run.options[0] == ("Taxa list", str(taxa_list.pk))

    @pytest.mark.parametrize(
        "fields",
        [
            {"params": {"task": "of another version", "config": {"a": 1}}},
            {"params": {"task": "class_masking", "config": []}},
            {"params": {"task": "class_masking", "config": {"taxa_list_id": "odd"}}},
            {"params": []},
            {"params": {"task": ["class_masking"], "config": {"a": 1}}},
            {"job_type_key": "other"},
        ],
    )
    def test_an_odd_run_is_named(self, detection: Detection, fields: dict[str, Any]) -> None:
        job = masking(TaxaList.objects.create(name="Quebec"), **fields)
        make_classification(detection=detection, job=job, metadata=["odd"])
        (step,) = self.read(detection, make_user(is_staff=True, is_superuser=True))
        assert step.method in {"Masking", "Class masking"}
        assert step.warnings == []
        assert '"odd"' in step.raw

    def test_the_queries_do_not_grow_with_the_steps(self, detection: Detection) -> None:
        user = make_user(is_staff=True, is_superuser=True)
        for number in range(12):
            job = masking(TaxaList.objects.create(name=f"List {number}"))
            make_classification(detection=detection, job=job, algorithm=make_algorithm())
        with CaptureQueriesContext(connection) as queries:
            steps = self.read(detection, user)
            assert [step.taxon and step.algorithm and step.job for step in steps]
        assert len(steps) == 12
        assert len(queries) == 2

    def test_a_bounded_number_is_read(self, detection: Detection) -> None:
        source = make_classification(detection=detection)
        Classification.objects.bulk_create(
            Classification(detection=detection, applied_to=source) for _ in range(STEPS)
        )
        found = read_lineages(
            Classification.objects.all(), user=make_user(is_staff=True, is_superuser=True)
        )
        assert len(found.of[detection.pk]) == STEPS
        assert found.more
