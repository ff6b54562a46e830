"""Copies of an Antenna database: what becomes of its rows."""

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.db.models import NOT_PROVIDED

from ami.exchange.antenna_database import copying
from ami.exchange.antenna_database.report import Report
from ami.exchange.antenna_database.run import copy_antenna
from ami.exchange.antenna_database.tables import TABLES
from ami.exchange.tests.antenna import ZONES, Antenna, columns, counted, told
from ami.integrity.runner import run_checks
from ami.main.checks.declarations import CHECKS
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Membership,
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


class TestColumns:
    @pytest.fixture(autouse=True)
    def copied(self, antenna: Antenna) -> Report:
        return copy_antenna(antenna.dsn, ZONES)

    def test_projects_and_members(self) -> None:
        ada, ben = (User.objects.get(email=f"{one}@example.org") for one in ("ada", "ben"))
        assert columns(Project, 21, "name", "owner", "methods") == ("Vermont", ada.pk, [])
        assert columns(Project, 22, "name", "owner") == ("Panama", None)
        assert columns(Project, 21, "created_at") == (datetime(2023, 1, 2, 8, 4, tzinfo=UTC),)
        rows = Membership.objects.values_list("project", "user__name", "role")
        assert set(rows) == {
            (21, "Ada", "manager"),
            (21, "Ben", "identifier"),
            (22, "Ben", "operator"),
            (22, "Cy", "viewer"),
        }
        assert not User.objects.filter(email="nobody@example.org").exists()
        assert (ada.is_active, ada.is_superuser, ada.has_usable_password()) == (False,) * 3
        assert ben.name == "Ben"

    def test_taxa_and_lists(self) -> None:
        names = ("name", "rank", "parent", "synonym_of", "active", "identifiable")
        assert columns(Taxon, 51, *names) == ("Noctua pronuba", "SPECIES", 58, None, True, True)
        assert columns(Taxon, 53, *names)[3:5] == (51, False)
        assert columns(Taxon, 54, *names)[5] is False
        further = ("search_names", "gbif_taxon_key", "notes")
        assert columns(Taxon, 51, *further) == (["Large yellow underwing"], 1, "common")
        assert columns(Taxon, 53, *further) == ([], 3, "")
        assert set(Taxon.objects.get(pk=51).projects.values_list("pk", flat=True)) == {21}
        moths = TaxaList.objects.get(pk=61)
        assert moths.name == "Vermont moths"
        assert set(moths.taxa.values_list("pk", flat=True)) == {51, 53}
        assert set(moths.projects.values_list("pk", flat=True)) == {21}

    def test_algorithms_and_category_maps(self) -> None:
        assert columns(AlgorithmCategoryMap, 31, "labels", "version", "description") == (
            ["Noctua pronuba", "Actias luna"],
            "",
            "",
        )
        assert AlgorithmCategoryMap.objects.get(pk=32).data == [{"index": 0, "label": "Morpho"}]
        names = ("name", "key", "task_type", "version", "category_map")
        assert columns(Algorithm, 41, *names) == ("Moths", "moths-1", "classification", 1, 31)
        assert columns(Algorithm, 43, "task_type") == ("other",)
        assert columns(Algorithm, 44, "task_type") == ("unknown",)

    def test_times_are_those_of_the_clocks(self) -> None:
        names = ("name", "description", "latitude", "longitude", "time_zone", "project")
        assert columns(Deployment, 71, *names) == (
            *("Trap A", "On the hill", 44.5, -72.5),
            *("America/Montreal", 21),
        )
        assert columns(Deployment, 72, "time_zone") == ("America/Panama",)
        assert columns(Event, 81, "group_by", "start", "end", "project", "deployment") == (
            "2022-06-20",
            datetime(2022, 6, 21, 1, 0, tzinfo=UTC),
            datetime(2022, 6, 21, 6, 0, tzinfo=UTC),
            *(21, 71),
        )
        # 19:00 in Panama, which has no summer time, is 20:00 in New York.
        panama = datetime(2022, 6, 21, 0, 0, tzinfo=UTC)
        assert columns(Event, 82, "start", "end") == (panama, None)
        assert columns(SourceImage, 93, "timestamp") == (panama,)
        assert columns(Detection, 114, "timestamp") == (panama,)
        made = datetime(2023, 3, 4, 10, 6, tzinfo=UTC)
        assert columns(Classification, 121, "timestamp") == (made,)

    def test_captures(self) -> None:
        names = ("path", "width", "height", "project", "deployment", "event", "detections_count")
        address = "https://images.example.org/vermont/a/"
        assert columns(SourceImage, 91, *names) == (f"{address}1.jpg", 4096, 2160, 21, 71, 81, 2)
        assert columns(SourceImage, 92, "path") == (f"{address}2.jpg",)
        assert columns(SourceImage, 93, *names) == ("b/1.jpg", None, None, 22, 72, 82, 1)

    def test_detections(self) -> None:
        names = ("source_image", "occurrence", "detection_algorithm", "project")
        assert columns(Detection, 111, *names) == (91, 101, 42, 21)
        names = ("bbox", "path", "detection_score", "similarity_vector")
        assert columns(Detection, 111, *names) == (
            *([1, 2.5, 30, 40], "crops/1.jpg"),
            *(0.9, [0.5, -0.001, 2]),
        )
        assert columns(Detection, 112, *names) == ([5, 6, 70, 80], "", 1, None)
        assert columns(Detection, 113, *names) == (None, "", None, None)

    def test_classifications(self) -> None:
        names = ("detection", "taxon", "score", "terminal", "algorithm", "category_map")
        assert columns(Classification, 121, *names) == (111, 51, 0.75, True, 43, 31)
        assert columns(Classification, 122, "scores", "logits", "project", "metadata", "job") == (
            *([0.5, 0.25], [1, 2]),
            *(21, {}, None),
        )
        links = dict(Classification.objects.values_list("pk", "applied_to"))
        assert links == {121: 122, 122: None, 123: None, 124: None, 125: None}

    def test_occurrences_and_identifications(self) -> None:
        names = ("determination", "determination_score", "event", "deployment", "project")
        assert columns(Occurrence, 101, *names) == (51, 1, 81, 71, 21)
        assert columns(Occurrence, 102, *names) == (52, 0.25, 81, 71, 21)
        said = ("user__name", "taxon", "occurrence", "comment", "project", "blind")
        assert columns(Identification, 131, *said) == ("Ben", 51, 101, "sure", 21, False)
        how = ("agreed_with_prediction", "agreed_with_identification", "withdrawn")
        assert columns(Identification, 131, *how) == (121, None, False)
        assert columns(Identification, 132, *how) == (None, 131, False)
        assert columns(Identification, 133, *how) == (None, None, True)
        at = datetime(2023, 5, 1, 14, 0, tzinfo=UTC)
        assert columns(Identification, 131, "created_at") == (at,)

    def test_capture_sets(self) -> None:
        names = ("project", "name", "method", "kwargs")
        assert columns(SourceImageCollection, 141, *names) == (21, "All", "full", {})
        by_hand = columns(SourceImageCollection, 142, *names)
        assert by_hand == (21, "Every hour", "manual", {"image_ids": [92]})
        images = SourceImageCollection.images.through.objects.values_list(
            "sourceimagecollection", "sourceimage"
        )
        assert set(images) == {(141, 91), (141, 92), (142, 92)}

    def test_counts_and_audit_are_kept(self) -> None:
        counts = ("captures_count", "detections_count", "occurrences_count")
        assert columns(Event, 81, *counts) == (2, 3, 2)
        assert columns(Deployment, 71, "events_count", *counts) == (1, 2, 3, 2)
        entries = LogEntry.objects.values_list("object_repr", "change_message", "user__name")
        message = "Copied from an Antenna database."
        assert set(entries) == {("Vermont", message, "System"), ("Panama", message, "System")}

    def test_integrity_checks_find_only_what_antenna_had(self) -> None:
        results = run_checks(CHECKS.values()).results.all()
        assert [one.error for one in results if one.error] == []
        found = {one.key: one.samples for one in results if one.remaining}
        assert found == {"capture_without_size": {"main.sourceimage": [93]}}


def test_report_tells_what_was_left_out(antenna: Antenna) -> None:
    report = copy_antenna(antenna.dsn, ZONES)
    assert counted(report, "main_userprojectmembership") == (5, 4, 0, 1)
    assert counted(report, "main_classification") == (6, 5, 0, 1)
    assert told(report) == {
        ("reference", "main_classification"): [124],
        ("orphan", "main_classification"): [126],
    }
    assert [str(one) for one in report.findings] == [
        "main_classification: applied_to_id refers to a row of main_classification that is not "
        "copied, in 1 row (id 124). The reference is left out.",
        "main_classification: detection_id is empty, in 1 row (id 126). Not copied.",
    ]
    assert report.time_zones[0] == (
        "Deployment 71 (Trap A): captures from 2022-06-20 21:00 to 2022-06-21 02:00 in "
        "America/Montreal."
    )
    assert "All rows keep their ids." in list(report.lines())


def test_every_column_has_a_value() -> None:
    for table in TABLES:
        given = {field.column for field in table.fields.values()}
        for field in table.model._meta.concrete_fields:
            filled = field.db_default is not NOT_PROVIDED or field.null or field.primary_key
            assert filled or field.column in given, f"{table.name}.{field.column}"


def test_rows_are_those_of_one_moment(antenna: Antenna) -> None:
    def change(rows: int) -> None:
        antenna.execute("DELETE FROM main_identification; UPDATE main_taxon SET name = 'x' || id")

    copy_antenna(antenna.dsn, ZONES, on_start=change)
    assert Identification.objects.count() == 3
    assert Taxon.objects.filter(name="Actias luna").exists()


def test_rows_are_copied_in_chunks(antenna: Antenna, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", 2)
    chunks: list[int] = []
    report = copy_antenna(antenna.dsn, ZONES, on_rows=chunks.append)
    assert max(chunks[-8:]) <= 3
    assert sum(chunks) == sum(one.copied for one in report.tables if one.table != "users_user")
    assert columns(Classification, 121, "applied_to") == (122,)
    assert columns(SourceImage, 91, "detections_count") == (2,)
    assert columns(Deployment, 71, "detections_count", "occurrences_count") == (3, 2)


def test_determinations_follow_our_rule(antenna: Antenna) -> None:
    antenna.execute("UPDATE main_occurrence SET determination_id = 55 WHERE id = 102")
    report = copy_antenna(antenna.dsn, ZONES)
    assert report.determinations_changed == 1
    assert columns(Occurrence, 102, "determination", "determination_score") == (52, 0.25)


def test_times_without_a_zone_are_read_as_they_are(antenna: Antenna) -> None:
    antenna.execute(
        "ALTER TABLE main_sourceimage ALTER timestamp TYPE timestamp "
        "USING timestamp AT TIME ZONE 'America/New_York'"
    )
    try:
        copy_antenna(antenna.dsn, ZONES)
    finally:
        antenna.execute(
            "ALTER TABLE main_sourceimage ALTER timestamp TYPE timestamptz "
            "USING timestamp AT TIME ZONE 'America/New_York'"
        )
    assert columns(SourceImage, 91, "timestamp") == (datetime(2022, 6, 21, 1, 0, tzinfo=UTC),)
