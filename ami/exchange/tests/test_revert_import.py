"""Imports are undone: exactly, whatever happened since, and after batches, stops and errors."""

from io import StringIO

import pytest
from django.core.management import call_command

from ami.base.tests.factories import make_capture_set, make_project, make_taxon, make_user
from ami.base.tests.snapshots import values
from ami.exchange.tests.exports import ROWS, make_example, make_record
from ami.exchange.tests.uploads import imported
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import (
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
)
from ami.ml.integrity_checks import get_category_maps_with_unresolved_labels

# Deferred constraints are checked at the end of transactions.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_folder")]


def revert(job: Job) -> Job:
    reverted = run_to_end(request_revert(job))
    assert reverted.outcome in {Outcome.SUCCEEDED, Outcome.PROBLEMS}, reverted.error
    return reverted


def counts() -> dict[str, int]:
    return {model.__name__: number for model in ROWS if (number := model._default_manager.count())}


def assert_sound() -> None:
    """No integrity check finds an error, with which the command ends, and no label is left."""
    call_command("check_data_integrity", stdout=StringIO())
    assert not get_category_maps_with_unresolved_labels().exists()


def test_everything_that_an_import_created_is_gone(project: Project) -> None:
    job = imported([make_record(1, label="Lophocampa maculata"), make_record(2)], project)
    assert counts() == {
        "Occurrence": 2,
        "Detection": 4,
        "Classification": 4,
        "Identification": 1,
        "SourceImage": 2,
        "Event": 1,
    }
    assert revert(job).outcome == Outcome.SUCCEEDED
    assert counts() == {}
    assert SourceImageCollection.objects.get().images.count() == 0
    assert project.deployments.count() == 0
    assert not Taxon.objects.exists()
    assert_sound()


def test_taxon_that_another_project_uses_stays(project: Project) -> None:
    job = imported([make_record(1)], project)
    imported([make_record(1)], make_project())
    assert revert(job).outcome == Outcome.PROBLEMS
    taxon = Taxon.objects.get()
    assert (taxon.name, project.taxa.count()) == ("Actias luna", 0)
    assert_sound()


def test_set_of_a_person_keeps_its_captures(project: Project) -> None:
    job = imported([make_record(1)], project)
    capture = SourceImage.objects.first()
    assert capture
    make_capture_set([capture], project=project)
    reverted = revert(job)
    assert counts() == {"SourceImage": 1, "Event": 1}
    capture.refresh_from_db()
    assert capture.event_id == Event.objects.get().pk
    assert reverted.outcome == Outcome.PROBLEMS
    assert_sound()
    again = imported([make_record(1)], project)
    assert again.outcome == Outcome.SUCCEEDED
    assert counts()["Detection"] == 2


def test_what_a_person_has_identified_since_is_left_alone(project: Project) -> None:
    job = imported([make_record(1), make_record(2)], project)
    kept = Occurrence.objects.order_by("pk").first()
    assert kept
    taxon = make_taxon(name="Noctua pronuba")
    Identification.objects.create(occurrence=kept, taxon=taxon, user=make_user())
    revert(job)
    assert counts() == {
        "Occurrence": 1,
        "Detection": 2,
        "Classification": 2,
        "Identification": 1,
        "SourceImage": 2,
        "Event": 1,
    }
    kept.refresh_from_db()
    assert kept.determination == taxon
    assert_sound()


def test_update_is_put_back(project: Project) -> None:
    imported([make_record(1)], project)
    before = values(*ROWS)
    examples = [
        make_example(1, 0, score=0.75, cropped_image_path="crops/new.jpg"),
        make_example(1, 1, label="Noctua pronuba"),
    ]
    other = make_example(2, 5, timestamp="2022-06-21T04:00:00.000Z", source_image_width=800)
    records = [make_record(1, examples=examples), make_record(2, examples=[other])]
    job = imported(records, project, update=True)
    assert counts()["Occurrence"] == 2
    revert(job)
    assert values(*ROWS) == before
    assert_sound()


def test_first_import_is_undone_as_far_as_a_second_one_did_not_change_it(project: Project) -> None:
    first = imported([make_record(1), make_record(2)], project)
    examples = [make_example(1, 0, score=0.75), make_example(1, 1)]
    second = imported([make_record(1, examples=examples), make_record(3)], project, update=True)
    reverted = revert(first)
    assert reverted.outcome == Outcome.PROBLEMS
    assert counts()["Occurrence"] == 2  # that which the second changed, and its own
    assert_sound()
    revert(second)
    assert_sound()
