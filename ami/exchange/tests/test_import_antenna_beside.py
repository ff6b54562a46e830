"""Copies of an Antenna database: of one project, and next to rows that exist already."""

from typing import Any

import pytest

from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_classification,
    make_detection,
    make_taxon,
    make_user,
)
from ami.exchange.antenna_database.run import CopyRefusedError, Options, copy_antenna
from ami.exchange.tests.antenna import ZONES, Antenna, counted, told
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    TaxaList,
    Taxon,
)
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.users.models import User

pytestmark = pytest.mark.django_db


class TestOneProject:
    def test_it_takes_only_what_it_needs(self, antenna: Antenna) -> None:
        report = copy_antenna(antenna.dsn, Options(project=22, time_zone="America/Panama"))
        assert report.projects == ["Panama"]
        assert list(Project.objects.values_list("pk", flat=True)) == [22]
        for model, ids in {
            Deployment: [72],
            Event: [82],
            SourceImage: [93],
            Occurrence: [103],
            Detection: [114],
            Classification: [125],
            Identification: [],
            Algorithm: [42, 44],
            AlgorithmCategoryMap: [32],
            TaxaList: [62],
            Taxon: [55, 59],
            SourceImageCollection: [],
        }.items():
            rows: Any = model
            assert sorted(rows.objects.values_list("pk", flat=True)) == ids, model
        assert set(User.objects.exclude(name="System").values_list("name", flat=True)) == {
            *("Ben", "Cy"),
        }
        assert told(report) == {}

    def test_the_other_one_can_follow(self, antenna: Antenna) -> None:
        for project, zone in ((22, "America/Panama"), (21, "America/Montreal")):
            report = copy_antenna(antenna.dsn, Options(project=project, time_zone=zone))
        assert counted(report, "main_taxon") == (6, 5, 1, 0)
        assert counted(report, "users_user") == (2, 1, 1, 0)
        assert counted(report, "ml_algorithm") == (3, 2, 1, 0)
        assert Taxon.objects.get(name="Lepidoptera").direct_children.count() == 3
        assert Detection.objects.get(occurrence__project__name="Panama").detection_algorithm
        assert Classification.objects.count() == 5

    def test_row_of_another_project_is_refused(self, antenna: Antenna) -> None:
        antenna.execute("UPDATE main_event SET project_id = 22 WHERE id = 81")
        with pytest.raises(CopyRefusedError) as refused:
            copy_antenna(antenna.dsn, Options(project=21, time_zone="UTC"))
        assert told(refused.value.report)["reference", "main_sourceimage"] == [91, 92]


class TestExistingRows:
    def test_names_classifiers_and_people_are_reused(self, antenna: Antenna) -> None:
        taxon = make_taxon(name="noctua_pronuba", rank="SPECIES")
        person = make_user(email="ADA@example.org")
        labels = [{"index": 0, "label": "Noctua pronuba"}, {"index": 1, "label": "Actias luna"}]
        category_map = AlgorithmCategoryMap.objects.create(data=labels)
        algorithm = make_algorithm(name="Moths", key="own", category_map=category_map)
        moths = TaxaList.objects.create(name="Vermont moths")
        report = copy_antenna(antenna.dsn, ZONES)
        assert counted(report, "main_taxon") == (7, 6, 1, 0)
        assert counted(report, "main_taxalist") == (2, 1, 1, 0)
        assert counted(report, "ml_algorithmcategorymap") == (2, 1, 1, 0)
        assert Taxon.objects.get(name="Triphaena pronuba").synonym_of == taxon
        assert Project.objects.get(name="Vermont").owner == person
        first = Classification.objects.order_by("pk")[1]
        assert (first.algorithm, first.category_map) == (algorithm, category_map)
        assert list(moths.projects.values_list("name", flat=True)) == ["Vermont"]
        assert not moths.taxa.exists()
        assert Identification.objects.filter(taxon=taxon).count() == 2

    def test_ids_in_use_are_shifted_as_a_whole(self, antenna: Antenna) -> None:
        taken = make_classification(pk=123, detection=make_detection(pk=114)).detection
        report = copy_antenna(antenna.dsn, ZONES)
        shifts = {one.table: one.shift for one in report.tables if one.shift}
        assert set(shifts) >= {"main_detection", "main_classification"}
        assert "main_occurrence" not in shifts
        by, own = shifts["main_classification"], shifts["main_detection"]
        assert own >= 4
        row = Classification.objects.get(pk=121 + by)
        assert (row.detection_id, row.applied_to_id) == (111 + own, 122 + by)
        assert Identification.objects.get(pk=131).agreed_with_prediction_id == 121 + by
        assert taken.classifications.count() == 1
        assert make_classification(detection=taken).pk > 126 + by
        assert next(line for line in report.lines() if line.startswith("Rows get larger ids"))

    def test_captures_chosen_by_hand_keep_their_captures(self, antenna: Antenna) -> None:
        make_capture(pk=92)
        report = copy_antenna(antenna.dsn, ZONES)
        shift = next(one.shift for one in report.tables if one.table == "main_sourceimage")
        assert shift > 0
        chosen = SourceImageCollection.objects.get(pk=142)
        assert chosen.kwargs == {"image_ids": [92 + shift]}
        assert list(chosen.images.values_list("pk", flat=True)) == [92 + shift]

    def test_new_rows_get_ids_beyond_those_of_antenna(self, antenna: Antenna) -> None:
        copy_antenna(antenna.dsn, ZONES)
        assert make_taxon().pk > 59
        assert make_detection().pk > 114

    def test_classes_that_differ_are_told(self, antenna: Antenna) -> None:
        other = AlgorithmCategoryMap.objects.create(data=[{"index": 0, "label": "Moth"}])
        algorithm = make_algorithm(name="Moths", key="own", category_map=other)
        report = copy_antenna(antenna.dsn, ZONES)
        assert told(report)["category_map", "ml_algorithm"] == [41]
        row = Classification.objects.exclude(logits=None).get()
        assert row.algorithm == algorithm
        assert row.category_map != other
        assert row.category_map is not None
        assert row.category_map.labels == ["Noctua pronuba", "Actias luna"]


def test_second_copy_of_a_project_is_refused(antenna: Antenna) -> None:
    copy_antenna(antenna.dsn, ZONES)
    with pytest.raises(CopyRefusedError) as refused:
        copy_antenna(antenna.dsn, ZONES)
    assert told(refused.value.report)["project", "main_project"] == [21, 22]
    first, second = Project.objects.order_by("pk").values_list("name", flat=True)
    assert str(refused.value.report.refused[0]) == (
        f'main_project: a project of the same name exists here ("{first}", "{second}"), in 2 rows '
        "(ids 21, 22). A copy is always a new project: rename or delete the one that is here, or "
        "pass --project to copy another one."
    )
