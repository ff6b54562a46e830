from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_deployment,
    make_detection,
    make_member,
    make_project,
    make_taxon,
)
from ami.jobs.journal.triggers import journaled
from ami.main.access import Role
from ami.main.models import AuditNote, Event, Occurrence, Project
from ami.review.drawing import draw_rows
from ami.review.models import Sample
from ami.review.populations import DrawingRefusedError, find_origin
from ami.review.strata import BAND, allocate, band_name, band_of, strata_of
from ami.review.tests.drawn import changed_by_job, draw_from, make_occurrences, occurrences_of

pytestmark = pytest.mark.django_db

Strata = Sample.Strata


@pytest.fixture
def project() -> Project:
    return make_project()


def test_same_seed_draws_the_same_sample(project: Project) -> None:
    make_occurrences(project, 40, taxon=make_taxon())
    first, again, other = (draw_from("project", project.pk, seed=seed) for seed in (7, 7, 8))

    assert occurrences_of(first) == occurrences_of(again)
    assert list(first.items.filter(is_double=True).values_list("position")) == list(
        again.items.filter(is_double=True).values_list("position")
    )
    assert occurrences_of(first) != occurrences_of(other)
    assert len(set(occurrences_of(first))) == first.items.count() == 10
    assert first.population == 40


def test_each_occurrence_is_drawn_equally_often(project: Project) -> None:
    make_occurrences(project, 20, taxon=make_taxon())
    population = find_origin("project", source_id=project.pk).population(Strata.NONE)
    strata = strata_of(population, Strata.NONE)
    seeds = range(400)
    drawn = [draw_rows(population, strata, [5], strata_by=Strata.NONE, seed=seed) for seed in seeds]
    for rows in (drawn, [one[:1] for one in drawn]):
        counts = Counter(row.occurrence_id for one in rows for row in one)
        expected = 400 * len(rows[0]) / 20
        assert len(counts) == 20
        assert max(abs(count - expected) for count in counts.values()) < 6 * expected**0.5


def test_larger_sample_of_the_same_seed_begins_with_the_smaller_one(project: Project) -> None:
    make_occurrences(project, 40, taxon=make_taxon())
    small, large = (draw_from("project", project.pk, size=size) for size in (10, 30))
    assert occurrences_of(large)[:10] == occurrences_of(small)


def test_sample_larger_than_the_population_has_all_of_it(project: Project) -> None:
    rows = make_occurrences(project, 4, taxon=make_taxon())
    assert sorted(occurrences_of(draw_from("project", project.pk, size=139))) == [
        row.pk for row in rows
    ]


def test_what_is_judged_is_frozen(project: Project) -> None:
    one, other = make_taxon(), make_taxon()
    make_occurrences(project, 1, taxon=one, score=0.7)
    sample = draw_from("project", project.pk)
    Occurrence.objects.update(determination=other, determination_score=0.1)

    item = sample.items.get()
    assert (item.taxon, item.taxon_before, item.score) == (one, None, 0.7)


def test_occurrences_without_a_name_and_of_other_projects_are_left_out(project: Project) -> None:
    (row,) = make_occurrences(project, 1, taxon=make_taxon())
    (unnamed,) = make_occurrences(project, 1, taxon=make_taxon())
    Occurrence.objects.filter(pk=unnamed.pk).update(determination=None)
    make_occurrences(make_project(), 1, taxon=make_taxon())
    assert occurrences_of(draw_from("project", project.pk)) == [row.pk]


def test_each_first_part_of_a_stratified_sample_has_the_shares_of_the_whole(
    project: Project,
) -> None:
    for score, number in ((0.1, 30), (0.6, 20), (0.99, 4)):
        make_occurrences(project, number, taxon=make_taxon(), score=score)
    sample = draw_from("project", project.pk, size=24, strata=Strata.SCORE)
    strata = list(sample.items.order_by("position").values_list("stratum", flat=True))

    assert sample.populations == [
        {"name": "0 to below 0.5", "population": 30},
        {"name": "0.5 to below 0.7", "population": 20},
        {"name": "0.95 to 1", "population": 4},
    ]
    assert Counter(strata) == {0: 10, 1: 10, 2: 4}
    for end in range(1, 25):
        part = Counter(strata[:end])
        assert all(abs(part[one] - end * Counter(strata)[one] / 24) <= 1 for one in range(3))


def test_few_large_strata_stand_for_themselves_and_the_rest_together(project: Project) -> None:
    taxa = [make_taxon() for _ in range(25)]
    for taxon in taxa:
        make_occurrences(project, 1, taxon=taxon)
    make_occurrences(project, 5, taxon=taxa[-1])
    sample = draw_from("project", project.pk, size=30, strata=Strata.TAXA)

    names = [one["name"] for one in sample.populations]
    assert (names[0], names[-1], len(names)) == (taxa[-1].name, "All others", 20)
    assert sample.populations[-1]["population"] == 6
    assert sample.items.count() == sample.population == 30


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_sample_of_a_job_has_what_it_changed(project: Project, is_dry_run: bool) -> None:
    old, new = make_taxon(), make_taxon()
    rows = make_occurrences(project, 6, taxon=old)
    job = changed_by_job(rows[:3], new, score=0.25, dry_run=is_dry_run)
    if is_dry_run:  # whose batches are rolled back
        Occurrence.objects.update(determination=old, determination_score=0.9)
    sample = draw_from("job", job.pk, strata=Strata.TAXA)

    assert sorted(occurrences_of(sample)) == [row.pk for row in rows[:3]]
    assert set(sample.items.values_list("taxon_before", "taxon", "score")) == {
        (old.pk, new.pk, 0.25)
    }
    assert sample.populations == [{"name": f"{old.name} → {new.name}", "population": 3}]


def test_sample_of_a_job_judges_its_last_name_against_the_first(project: Project) -> None:
    old, passing, new = make_taxon(), make_taxon(), make_taxon()
    rows = make_occurrences(project, 2, taxon=old)
    job = changed_by_job(rows, passing)
    with journaled(job):
        Occurrence.objects.filter(pk=rows[0].pk).update(determination=new)
        Occurrence.objects.filter(pk=rows[1].pk).update(determination=old)
    sample = draw_from("job", job.pk)

    item = sample.items.get()
    assert (item.occurrence_id, item.taxon, item.taxon_before) == (rows[0].pk, new, old)


def test_changed_and_unchanged_occurrences_of_a_run_are_strata(project: Project) -> None:
    old, new = make_taxon(), make_taxon()
    night = Event.objects.create(
        deployment=make_deployment(project=project), project=project, group_by="2022-06-20"
    )
    rows = make_occurrences(project, 5, taxon=old, event=night)
    make_occurrences(project, 5, taxon=old)
    job = changed_by_job(rows[:2], new, params={"config": {"event_ids": [night.pk]}})
    sample = draw_from("job", job.pk, strata=Strata.RUN)

    assert sample.populations == [
        {"name": "Changed", "population": 2},
        {"name": "Unchanged", "population": 3},
    ]
    drawn = set(sample.items.values_list("occurrence", "stratum", "taxon_before", "taxon"))
    assert drawn == {
        *((row.pk, 0, old.pk, new.pk) for row in rows[:2]),
        *((row.pk, 1, old.pk, old.pk) for row in rows[2:]),
    }


def test_sample_of_a_capture_set_or_a_night_has_its_occurrences(project: Project) -> None:
    deployment = make_deployment(project=project)
    night = Event.objects.create(deployment=deployment, project=project, group_by="2022-06-20")
    captures = [make_capture(deployment=deployment, event=night) for _ in range(2)]
    rows = make_occurrences(project, 2, taxon=make_taxon(), deployment=deployment, event=night)
    make_occurrences(project, 2, taxon=make_taxon(), deployment=deployment)
    for capture in captures:
        make_detection(source_image=capture, occurrence=rows[0])
    capture_set = make_capture_set(captures)

    assert occurrences_of(draw_from("collection", capture_set.pk)) == [rows[0].pk]
    assert sorted(occurrences_of(draw_from("event", night.pk))) == [row.pk for row in rows]


def test_sample_of_a_list_has_what_its_filter_finds(project: Project) -> None:
    moth = make_taxon(name="Noctua pronuba")
    rows = make_occurrences(project, 3, taxon=moth, score=0.4)
    make_occurrences(project, 3, taxon=moth, score=0.6)
    make_occurrences(project, 3, taxon=make_taxon(), score=0.4)
    query = "determination_score__lte=0.5&q=Noctua&p=2&o=1"
    sample = draw_from("occurrences", query=query, project=project)
    assert sorted(occurrences_of(sample)) == [row.pk for row in rows]
    assert sample.query == query


@pytest.mark.parametrize(
    "query", ["colour=red", "event__id__exact=\x00", "project__id__exact=x", "q=%00"]
)
def test_invalid_filters_are_refused_or_find_nothing(project: Project, query: str) -> None:
    make_occurrences(project, 1, taxon=make_taxon())
    with pytest.raises(DrawingRefusedError):
        draw_from("occurrences", query=query, project=project)
    assert not Sample.objects.exists()


def test_people_draw_only_where_they_may(project: Project) -> None:
    row = make_occurrences(project, 1, taxon=make_taxon())[0]
    foreign = make_project()
    make_occurrences(foreign, 1, taxon=make_taxon())
    operator, viewer = make_member(project, Role.OPERATOR), make_member(project)

    for source, source_id, place in (("project", foreign.pk, None), ("occurrences", None, foreign)):
        with pytest.raises(DrawingRefusedError, match=f"There is no project {foreign.pk}"):
            draw_from(source, source_id, project=place, user=operator)
    with pytest.raises(DrawingRefusedError, match="There is no project"):
        draw_from("project", project.pk, user=viewer)
    sample = draw_from("occurrences", project=project, user=operator)
    assert occurrences_of(sample) == [row.pk]
    assert sample.user == operator
    note = AuditNote.objects.get()
    assert (note.entry.user, note.project) == (operator, project)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": 0}, "must have 1 to 10,000 occurrences, got 0"),
        ({"size": 10_001}, "must have 1 to 10,000 occurrences, got 10,001"),
        ({"size": 3, "strata": Strata.SCORE}, "have 2 from each of 2 strata, got 3"),
        (
            {"strata": Strata.RUN},
            "a sample of it cannot be stratified by “Changed or unchanged by the run”",
        ),
    ],
)
def test_impossible_designs_are_refused(
    project: Project, given: dict[str, Any], sentence: str
) -> None:
    for score in (0.1, 0.9):
        make_occurrences(project, 3, taxon=make_taxon(), score=score)
    with pytest.raises(DrawingRefusedError, match=sentence):
        draw_from("project", project.pk, **given)


def test_jobs_without_a_journal_are_refused(project: Project) -> None:
    rows = make_occurrences(project, 1, taxon=make_taxon())
    job = changed_by_job(rows, make_taxon())
    for fields, sentence in (
        ({"pruned_at": "2022-06-20T00:00Z"}, "was deleted on 2022-06-20"),
        ({"status": "STARTED", "pruned_at": None}, "has not ended"),
        ({"status": "SUCCESS", "project": None}, "belongs to no project"),
    ):
        type(job).objects.filter(pk=job.pk).update(**fields)
        with pytest.raises(DrawingRefusedError, match=sentence):
            draw_from("job", job.pk)


@pytest.mark.parametrize(
    ("populations", "size", "given"),
    [
        ([5000, 3000, 2000], 150, [50, 50, 50]),
        ([5000, 3000, 2000], 152, [51, 51, 50]),
        ([100, 1, 7], 20, [12, 1, 7]),
        ([3, 2], 10, [3, 2]),
    ],
)
def test_strata_give_equal_numbers(populations: list[int], size: int, given: list[int]) -> None:
    assert allocate(populations, size) == given


@pytest.mark.parametrize("score", [None, 0, 0.49, 0.5, 0.7, 0.8, 0.9, 0.95, 1])
def test_python_and_postgresql_agree_on_bands(score: float | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {BAND} FROM (SELECT %s::float8 AS score) p", [score])
        assert cursor.fetchone() == (band_of(score),)
    assert band_name(band_of(score))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_share_that_is_read_twice_is_spread_evenly(project: Project, share: float) -> None:
    make_occurrences(project, 40, taxon=make_taxon())
    sample = draw_from("project", project.pk, size=40, double=share)
    twice = list(sample.items.filter(is_double=True).values_list("position", flat=True))
    assert len(twice) == 40 * share
    for end in range(10, 41, 10):
        assert sum(position <= end for position in twice) == end * share


def test_drawing_takes_a_constant_number_of_queries(project: Project) -> None:
    def queries(number: int) -> int:
        for score in (0.1, 0.9):
            make_occurrences(project, number, taxon=make_taxon(), score=score)
        with CaptureQueriesContext(connection) as context:
            draw_from("project", project.pk, size=4 * number, strata=Strata.SCORE)
        return len(context)

    draw_from("project", make_occurrences(project, 1, taxon=make_taxon())[0].project_id)
    assert queries(2) == queries(20)
