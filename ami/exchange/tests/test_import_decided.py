"""What the names of a file stand for is decided once per import, for every batch and retry."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from ami.base.tests.factories import make_taxon
from ami.exchange.importing.decided import ALGORITHMS, TAXA
from ami.exchange.importing.writing import Portion
from ami.exchange.tests.exports import make_record
from ami.exchange.tests.name_lists import MOTHS, grant, planned, send
from ami.exchange.tests.test_import_taxa import make_row
from ami.exchange.tests.uploads import apply, imported, page_of, queued
from ami.jobs.engine import runner
from ami.jobs.models import Job
from ami.jobs.states import JobState, Outcome
from ami.jobs.tests.job_types import Killed, run_to_end
from ami.jobs.tests.rows import silence
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Occurrence,
    Project,
    SourceImage,
    TaxaList,
    Taxon,
)
from ami.main.taxonomy import IMPORT_ALGORITHM
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.users.models import User
from config.tests.access_tables import IMPORTS

__all__ = ["planned", "send"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folder", "small_batches"),
]

MOTH = "Actias luna"
RECORDS = [make_record(number) for number in range(9)]
CHANGED = f"{TAXA}: changed since it was planned."


def elsewhere(act: Callable[[], object]) -> None:
    """Do something in a transaction of its own, which is committed at once."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        other.submit(run).result()


def before_batch(job: Job, act: Callable[[], object], end: BaseException | None = None) -> None:
    """Run the Job; before its third batch, let something happen, and perhaps end the worker."""
    write, calls = Portion.write, 0

    def writing_one(batch: Portion) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            elsewhere(act)
            if end:
                raise end
        write(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Portion, "write", writing_one)
        runner.run(job.pk, task_id=job.task_id)


def canceled_and_resumed(job: Job, act: Callable[[], object]) -> Job:
    before_batch(job, lambda: (act(), Job.objects.get(pk=job.pk).cancel()))
    job.refresh_from_db()
    assert job.outcome == Outcome.CANCELED
    assert job.resume()
    return run_to_end(job)


def lost(job: Job, act: Callable[[], object]) -> Job:
    with pytest.raises(Killed):
        before_batch(job, act, Killed())
    part = job.parts.get()
    silence(part)
    runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
    job.refresh_from_db()
    return job


def retried(job: Job, act: Callable[[], object]) -> Job:
    before_batch(job, act, OperationalError("deadlock detected"))
    job.refresh_from_db()
    return job


def undisturbed(job: Job, act: Callable[[], object]) -> Job:
    before_batch(job, act)
    job.refresh_from_db()
    return job


@pytest.fixture(params=[canceled_and_resumed, lost, retried, undisturbed])
def disturb(request: pytest.FixtureRequest) -> Callable[..., Job]:
    way: Callable[..., Job] = request.param
    return way


def rename() -> None:
    """Let the label of the file stand for another taxon than before."""
    Taxon.objects.filter(name=MOTH).update(name="Renamed")
    make_taxon(name=MOTH)


def synonymize() -> None:
    Taxon.objects.filter(name=MOTH).update(synonym_of=make_taxon(name="Other"))


def taxa() -> set[str | None]:
    """The names of the taxa of all classifications, of which there are as many as detections."""
    rows = Classification.objects.values_list("taxon__name", flat=True)
    assert len(rows) == 2 * len(RECORDS)
    return set(rows)


@pytest.mark.parametrize("edit", [rename, synonymize])
@pytest.mark.parametrize("known", [True, False])
def test_all_batches_go_by_the_taxa_of_the_plan(
    edit: Callable[[], None],
    known: bool,
    disturb: Callable[..., Job],
    project: Project,
    signed_in: Client,
) -> None:
    """A taxon that the import itself has created is decided by the batch that created it."""
    if known:
        make_taxon(name=MOTH)
    job = disturb(queued(RECORDS, project), edit)
    assert job.status == JobState.SUCCESS, job.error
    assert taxa() == {"Renamed" if edit is rename else MOTH}
    assert job.basis_changes == [CHANGED]
    text = page_of(signed_in, job)
    assert "The catalogue changed during the run" in text
    assert CHANGED in text


def test_all_batches_go_by_the_algorithms_of_the_plan(
    disturb: Callable[..., Job], project: Project
) -> None:
    job = disturb(
        queued(RECORDS, project),
        lambda: Algorithm.objects.filter(name=IMPORT_ALGORITHM).update(name="Renamed"),
    )
    assert job.status == JobState.SUCCESS, job.error
    names = Classification.objects.values_list("algorithm__name", flat=True)
    assert set(names) == {"Renamed"}
    assert job.basis_changes == [f"{ALGORITHMS}: changed since it was planned."]


def test_all_batches_go_by_the_category_maps_of_the_plan(
    disturb: Callable[..., Job], project: Project
) -> None:
    imported(RECORDS[:1], project)
    (own,) = AlgorithmCategoryMap.objects.all()
    other = AlgorithmCategoryMap.objects.create(data=[{"index": 0, "label": "x"}])
    job = disturb(queued(RECORDS, project), lambda: Algorithm.objects.update(category_map=other))
    assert job.status == JobState.SUCCESS, job.error
    assert set(Classification.objects.values_list("category_map", flat=True)) == {own.pk}
    assert Algorithm.objects.get().category_map == other
    assert job.basis_changes == [f"{ALGORITHMS}: changed since it was planned."]


def test_import_itself_changes_nothing_that_it_consults(project: Project) -> None:
    for label in (MOTH, "Noctua pronuba"):
        job = imported([make_record(n, label=label) for n in range(9)], project)
        assert job.basis_changes == []


@pytest.mark.parametrize("model", [Taxon, Algorithm, AlgorithmCategoryMap])
def test_what_was_deleted_since_ends_the_import_with_a_sentence(
    model: type[Any], project: Project
) -> None:
    """While a Job has not ended, the admin deletes nothing of the kind."""
    job = queued(RECORDS, project)
    before_batch(job, Job.objects.get(pk=job.pk).cancel)
    model.objects.all().delete()
    job.refresh_from_db()
    assert job.resume()
    job = run_to_end(job)
    assert job.outcome == Outcome.FAILED
    assert "was deleted" in job.error
    assert job.error.endswith("Import the file again.")


class TestApply:
    """What changed since a dry run is told before it is applied."""

    @pytest.fixture
    def dry_run(self, project: Project) -> Job:
        make_taxon(name=MOTH)
        imported(RECORDS[:3], project)
        new = make_record(20, label="Unknown to all")
        return imported([*RECORDS[:5], new], project, dry_run=True)

    def test_nothing_has_changed(self, signed_in: Client, dry_run: Job) -> None:
        assert dry_run.basis_changes == []
        apply(signed_in, dry_run)
        assert run_to_end(Job.objects.latest("pk")).applies == dry_run
        assert Occurrence.objects.count() == 6

    @pytest.mark.parametrize(
        ("model", "told"),
        [
            (Classification, "1 classification of the project deleted since."),
            (Detection, "1 detection of the project deleted since."),
            (Occurrence, "1 occurrence of the project deleted since."),
            (SourceImage, "1 capture of the project deleted since."),
            (Deployment, "1 deployment of the project deleted since."),
        ],
    )
    def test_deleted_rows_are_told(
        self, model: type[Any], told: str, signed_in: Client, dry_run: Job
    ) -> None:
        if model is Deployment:
            SourceImage.objects.update(deployment=None)
        model.objects.filter(pk=model.objects.earliest("pk").pk).delete()
        assert told in apply(signed_in, dry_run).text
        assert not dry_run.applied_by.exists()
        apply(signed_in, dry_run, _confirmed="1")
        assert dry_run.applied_by.exists()

    def test_rows_that_came_later_do_not_hide_those_that_went(
        self, signed_in: Client, dry_run: Job, project: Project
    ) -> None:
        Classification.objects.earliest("pk").delete()
        imported([make_record(30)], project)
        assert "1 classification of the project deleted since." in apply(signed_in, dry_run).text

    @pytest.mark.parametrize(
        "edit", [rename, synonymize, lambda: make_taxon(name="Unknown to all")]
    )
    def test_names_that_stand_for_other_taxa_are_told(
        self, edit: Callable[[], object], signed_in: Client, dry_run: Job
    ) -> None:
        edit()
        text = apply(signed_in, dry_run).text
        assert CHANGED in text
        assert ALGORITHMS not in text

    def test_taxa_that_leave_the_list_are_told(
        self, signed_in: Client, planned: Callable[..., Job], person: User
    ) -> None:
        grant(person, *IMPORTS["name list"], "main.add_taxalist")
        apply(signed_in, planned(*MOTHS))
        run_to_end(Job.objects.latest("pk"))
        moths = TaxaList.objects.get()
        job = planned(*MOTHS, make_row("Actias other"))
        moths.taxa.remove(Taxon.objects.get(name=MOTH))
        told = "The taxa list held 4 taxa, and now holds 3."
        assert told in apply(signed_in, job).text
        moths.taxa.add(Taxon.objects.get(name="Actias"))
        assert "The taxa list holds other taxa than before." in apply(signed_in, job).text
        Taxon.objects.get(name=MOTH).delete()
        assert "1 taxon deleted since." in apply(signed_in, job).text
