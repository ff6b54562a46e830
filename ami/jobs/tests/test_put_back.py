"""One occurrence is put back as it was before a run, and the rest of the run stands."""

import pytest
from django.test import Client

from ami.base.tests.factories import make_classification, make_taxon, make_user
from ami.jobs.engine import runner
from ami.jobs.journal.revert import RevertRefusedError, request_put_back, request_revert
from ami.jobs.models import Job
from ami.jobs.states import Outcome
from ami.jobs.tests.reverting import (
    SupersedingTask,
    ended,
    make_tracks,
    merge,
    methods,
    revert,
    run,
)
from ami.main.models import Detection, Identification, Occurrence, SourceImageCollection
from ami.ml.post_processing.tests.methods import make_scope
from ami.testing.records import exactly, left, rows

__all__ = ["methods"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("methods")]


def put_back(job: Job, occurrence: Occurrence) -> Job:
    new = request_put_back(job, occurrence.pk)
    runner.run(new.pk)
    return ended(new)


def make_nights(*sizes: int) -> tuple[SourceImageCollection, list[Occurrence]]:
    """Occurrences with classified detections."""
    capture_set = make_scope(*sizes)
    for detection in Detection.objects.all():
        make_classification(detection=detection, taxon=make_taxon(), score=0.7)
    occurrences = list(Occurrence.objects.order_by("pk"))
    for occurrence in occurrences:
        occurrence.save()
    return capture_set, occurrences


def about(occurrence: Occurrence, tables: dict[str, list[dict[str, object]]]) -> str:
    """The rows of one occurrence."""
    detections = {one["id"] for one in tables["Detection"] if one["occurrence_id"] == occurrence.pk}
    return exactly(
        {
            "Occurrence": [one for one in tables["Occurrence"] if one["id"] == occurrence.pk],
            "Detection": [one for one in tables["Detection"] if one["id"] in detections],
            "Classification": [
                one for one in tables["Classification"] if one["detection_id"] in detections
            ],
        }
    )


def test_only_one_occurrence_is_put_back() -> None:
    capture_set, (first, second, third) = make_nights(2, 1, 1)
    before = rows()
    job = run(capture_set, SupersedingTask)
    after = rows()
    new = put_back(job, second)
    now = rows()
    assert about(second, now) == about(second, before) != about(second, after)
    for other in (first, third):
        assert about(other, now) == about(other, after)
    assert (new.outcome, left(new), new.reverts) == (Outcome.SUCCEEDED, [], None)
    assert set(new.changes.filter(model="main.occurrence").values_list("object_id")) == {
        (second.pk,)
    }


def test_the_run_can_be_reverted_afterwards() -> None:
    capture_set, (_, second, _) = make_nights(2, 1, 1)
    before = rows()
    job = run(capture_set, SupersedingTask)
    new = put_back(job, second)
    whole = revert(job)
    assert rows() == before
    assert whole.outcome == Outcome.PROBLEMS
    causes = {(change.after or {}).get("job") for change in whole.changes.filter(kind="left")}
    assert causes == {new.pk}, "it tells what was already put back"
    assert {model for model, _, _ in left(whole)} == {"main.classification", "main.occurrence"}


def test_putting_back_is_itself_reverted() -> None:
    capture_set, (first, *_) = make_nights(1, 1)
    before = rows()
    job = run(capture_set, SupersedingTask)
    after = rows()
    revert(put_back(job, first))
    assert rows() == after
    revert(job)
    assert rows() == before


@pytest.mark.django_db(transaction=True)
def test_merged_occurrences_are_put_back_together() -> None:
    capture_set = make_tracks()
    before = exactly(rows())
    job = merge(capture_set)
    keepers = list(Occurrence.objects.filter(detections__isnull=False).order_by("pk").distinct())
    assert len(keepers) == 3
    for number, keeper in enumerate(keepers, start=1):
        put_back(job, keeper)
        there = set(Occurrence.objects.values_list("pk", flat=True))
        assert there.isdisjoint(one.pk for one in keepers[:number])
        assert there >= {one.pk for one in keepers[number:]}
    assert exactly(rows()) == before


def test_what_something_else_has_changed_is_left_alone() -> None:
    capture_set, (first, *_) = make_nights(2, 1)
    job = run(capture_set, SupersedingTask)
    later = run(capture_set, SupersedingTask)
    after = rows()
    new = put_back(job, first)
    assert rows() == after
    assert new.outcome == Outcome.PROBLEMS
    assert {(change.after or {}).get("job") for change in new.changes.all()} == {later.pk}
    put_back(later, first)
    put_back(job, first)  # allowed, because the first attempt has put nothing back


def test_a_person_keeps_the_name() -> None:
    capture_set, (first, *_) = make_nights(1)
    job = run(capture_set, SupersedingTask)
    named = make_taxon()
    Identification.objects.create(occurrence=first, taxon=named)
    put_back(job, first)
    first.refresh_from_db()
    assert (first.determination, first.determination_score) == (named, 1.0)


def test_an_occurrence_without_changes_does_nothing() -> None:
    capture_set, _ = make_nights(1)
    job = run(capture_set, SupersedingTask)
    _, occurrences = make_nights(1)
    new = request_put_back(job, occurrences[-1].pk)
    runner.run(new.pk)
    new.refresh_from_db()
    assert new.outcome == Outcome.NOTHING
    assert new.error == f"Job {job.pk} has changed nothing of occurrence {occurrences[-1].pk}."


def test_page_of_the_job_names_the_occurrence(client: Client) -> None:
    capture_set, (first, _) = make_nights(1, 1)
    new = put_back(run(capture_set, SupersedingTask), first)
    client.force_login(make_user(is_staff=True, is_superuser=True))
    page = client.get(f"/admin/jobs/job/{new.pk}/change/").text
    assert f'<a href="/admin/main/occurrence/{first.pk}/change/">Occurrence {first.pk}</a>' in page
    assert new.name.startswith(f"Put back occurrence {first.pk}: ")


def test_a_second_request_is_refused() -> None:
    capture_set, (first, second) = make_nights(1, 1)
    job = run(capture_set, SupersedingTask)
    new = request_put_back(job, first.pk)
    with pytest.raises(RevertRefusedError, match=f"is being put back by Job {new.pk}"):
        request_put_back(job, first.pk)
    runner.run(new.pk)
    with pytest.raises(RevertRefusedError, match=f"was put back by Job {new.pk}"):
        request_put_back(job, first.pk)
    request_put_back(job, second.pk)
    request_revert(job)
    with pytest.raises(RevertRefusedError, match="is being reverted"):
        request_put_back(job, second.pk)
