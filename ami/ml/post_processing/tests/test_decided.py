"""A run uses the basis from its planning, even if the catalogue changes meanwhile."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_taxon
from ami.jobs.engine import runner
from ami.jobs.models import Basis, Job, JobPart
from ami.jobs.pruning import prune
from ami.jobs.service import ScopeChangedError
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.job_types import hand_out, run_to_end
from ami.main.models import Classification, Detection, SourceImageCollection, TaxaList, Taxon
from ami.main.models.taxon import NOT_IDENTIFIABLE
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.ml.post_processing.again import apply
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.consensus import make_track
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_map,
    make_ranks,
    make_source,
)
from ami.ml.post_processing.track_consensus import TrackConsensusTask

pytestmark = pytest.mark.django_db

ROWS = 4
LABELS = "Labels and their taxa: changed since it was planned."


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> SourceImageCollection:
    """A run on identical insects, each in a separate part."""
    for task_cls in (ClassMaskingTask, RankRollupTask, SmallSizeFilterTask):
        monkeypatch.setattr(task_cls, "batch_size", 1)
        monkeypatch.setattr(task_cls, "part_batches", 1)
    make_ranks("F", "G", "a", "b", "c")
    make_ranks("F2", "G2")
    classifier = make_classifier("a", "b", "c")
    for _ in range(ROWS):
        make_source(classifier, logits=[1.0, 0.9, 0.8])
    Detection.objects.update(bbox=[1, 1, 3, 3])
    make_list(*Taxon.objects.filter(name__in=["b", "c"]))
    return everything()


def queue(
    capture_set: SourceImageCollection,
    task_cls: type[BasePostProcessingTask],
    *,
    dry_run: bool = False,
) -> Job:
    config: dict[str, Any] = {"source_image_collection_id": capture_set.pk}
    if task_cls is ClassMaskingTask:
        config["taxa_list_id"] = TaxaList.objects.get().pk
        config["algorithm_id"] = Algorithm.objects.earliest("pk").pk
    return launch(task_cls, [LaunchRow("A run", capture_set.project, config)], dry_run=dry_run)[0]


def run_parts(job: Job, number: int) -> None:
    for part in job.parts.filter(state=PartState.QUEUED).order_by("number")[:number]:
        runner.run_part(part.pk, task_id=part.task_id)
    job.refresh_from_db()


def run_half(job: Job) -> None:
    hand_out(job)
    run_parts(job, ROWS // 2)
    assert job.parts.filter(state=PartState.DONE).count() == ROWS // 2


def results() -> set[tuple[Any, ...]]:
    """The differences between the terminal rows that the run has written."""
    rows = Classification.objects.filter(terminal=True).exclude(applied_to=None)
    assert rows.count() == ROWS
    columns = ("taxon__name", "score", "algorithm", "category_map", "metadata__kept_labels")
    return set(rows.values_list(*columns))


def listed() -> Any:
    return TaxaList.objects.get().taxa


def add_raw() -> None:
    through = TaxaList.taxa.through
    taxon = Taxon.objects.get(name="a")
    through.objects.bulk_create([through(taxalist=TaxaList.objects.get(), taxon=taxon)])


def edit_label() -> None:
    category_map = AlgorithmCategoryMap.objects.earliest("pk")
    category_map.data[0]["label"] = "c"
    category_map.data[2]["label"] = "a"
    category_map.save()


EDITS: dict[str, tuple[Callable[[], object], str]] = {
    "add": (
        lambda: listed().add(Taxon.objects.get(name="a")),
        "Taxa list: 2 entries when it was planned, 3 now.",
    ),
    "remove": (
        lambda: listed().remove(Taxon.objects.get(name="b")),
        "Taxa list: 2 entries when it was planned, 1 now.",
    ),
    "set": (
        lambda: listed().set(Taxon.objects.filter(name__in=["a", "c"])),
        "Taxa list: changed since it was planned.",
    ),
    "clear": (
        lambda: listed().clear(),
        "Taxa list: 2 entries when it was planned, 0 now.",
    ),
    "raw": (add_raw, "Taxa list: 2 entries when it was planned, 3 now."),
    "delete": (lambda: TaxaList.objects.all().delete(), r"Taxa list \d+ no longer exists."),
    "parent": (
        lambda: Taxon.objects.filter(name="a").update(parent=Taxon.objects.get(name="b")),
        LABELS,
    ),
    "name": (lambda: Taxon.objects.filter(name="b").update(name="renamed"), LABELS),
    "label": (edit_label, LABELS),
    "key": (
        lambda: Algorithm.objects.filter(pk=Algorithm.objects.earliest("pk").pk).update(key="new"),
        "Algorithm of the results: changed since it was planned.",
    ),
    "map": (
        lambda: Algorithm.objects.filter(pk=Algorithm.objects.earliest("pk").pk).update(
            category_map=make_map("c", "b", "a")
        ),
        "Category maps of the algorithms: changed since it was planned.",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_all_parts_of_masking_go_by_the_catalogue_of_the_plan(
    edit: str, night: SourceImageCollection, admin_client: Client
) -> None:
    job = queue(night, ClassMaskingTask)
    run_half(job)
    make_change, sentence = EDITS[edit]
    make_change()
    run_parts(job, ROWS)
    assert job.outcome == Outcome.SUCCEEDED
    assert len(results()) == 1
    assert any(re.fullmatch(sentence, one) for one in job.basis_changes)
    page = admin_client.get(f"/admin/jobs/job/{job.pk}/change/").text
    assert "The catalogue changed during the run" in page
    assert job.logs.filter(message__contains="The run used what it was planned with.").exists()


@pytest.mark.parametrize("edit", ["parent", "name", "label", "map"])
def test_all_parts_of_a_rollup_go_by_the_catalogue_of_the_plan(
    edit: str, night: SourceImageCollection
) -> None:
    job = queue(night, RankRollupTask)
    run_half(job)
    Taxon.objects.filter(name="G").update(parent=Taxon.objects.get(name="F2"))
    EDITS[edit][0]()
    run_parts(job, ROWS)
    assert job.outcome == Outcome.SUCCEEDED
    assert {taxon for taxon, *_ in results()} == {"G"}
    assert len(results()) == 1
    assert LABELS in job.basis_changes


def test_renamed_taxon_of_the_filter_is_used_to_the_end(night: SourceImageCollection) -> None:
    make_taxon(name=NOT_IDENTIFIABLE)
    job = queue(night, SmallSizeFilterTask)
    Job.objects.filter(pk=job.pk).update(
        params=job.params | {"config": job.params["config"] | {"size_threshold": 0.5}}
    )
    run_half(job)
    Taxon.objects.filter(name=NOT_IDENTIFIABLE).update(name="Renamed")
    run_parts(job, ROWS)
    assert {taxon for taxon, *_ in results()} == {"Renamed"}
    assert not Taxon.objects.filter(name=NOT_IDENTIFIABLE).exists()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (EDITS["map"][0], EDITS["map"][1]),
        (
            lambda: Taxon.objects.filter(name="a").update(identifiable=False),
            "Taxa that are not identifiable: 0 entries when it was planned, 1 now.",
        ),
    ],
    ids=["map", "identifiable"],
)
def test_all_parts_of_a_consensus_go_by_the_catalogue_of_the_plan(
    edit: Callable[[], object],
    sentence: str,
    night: SourceImageCollection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TrackConsensusTask, "batch_size", 1)
    monkeypatch.setattr(TrackConsensusTask, "part_batches", 1)
    Classification.objects.all().delete()
    classifier = Algorithm.objects.earliest("pk")
    taxon = Taxon.objects.get(name="a")
    for _ in range(ROWS):
        make_track(classifier, *[{"logits": [1.0, 0.9, 0.8], "taxon": taxon}] * 2)
    Classification.objects.update(category_map=None)
    job = queue(everything(), TrackConsensusTask)
    run_half(job)
    edit()
    run_parts(job, ROWS)
    assert job.outcome == Outcome.SUCCEEDED
    assert {taxon for taxon, *_ in results()} == {"a"}
    assert job.basis_changes == [sentence]


def test_resumed_job_goes_by_the_catalogue_of_its_plan(night: SourceImageCollection) -> None:
    job = queue(night, ClassMaskingTask)
    run_half(job)
    assert job.cancel()
    listed().set(Taxon.objects.filter(name="a"))
    job.refresh_from_db()
    assert job.resume()
    run_to_end(job)
    assert job.outcome == Outcome.SUCCEEDED
    assert len(results()) == 1
    assert job.basis_changes


@pytest.mark.parametrize("task_cls", [ClassMaskingTask, RankRollupTask, SmallSizeFilterTask])
def test_run_itself_changes_nothing_that_it_consults(
    task_cls: type[BasePostProcessingTask], night: SourceImageCollection
) -> None:
    job = run_to_end(queue(night, task_cls))
    assert job.parts.count() == ROWS
    assert job.basis_changes == []


@pytest.mark.parametrize("parts_of", [1, ROWS])
def test_labels_are_resolved_for_the_plan_and_to_compare_alone(
    parts_of: int, night: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClassMaskingTask, "part_batches", parts_of)
    job = queue(night, ClassMaskingTask)
    with CaptureQueriesContext(connection) as queries:
        run_to_end(job)
    resolved = [query for query in queries if "searched.name = ANY" in query["sql"]]
    assert len(resolved) == 2


@pytest.mark.parametrize("edit", sorted(set(EDITS) - {"clear", "delete"}))
def test_change_by_any_route_is_told_to_who_applies_a_dry_run(
    edit: str, night: SourceImageCollection
) -> None:
    dry = run_to_end(queue(night, ClassMaskingTask, dry_run=True))
    make_change, sentence = EDITS[edit]
    make_change()
    with pytest.raises(ScopeChangedError) as changed:
        apply(dry, user=None)
    assert sentence in changed.value.changes
    assert all(change.endswith((" now.", " planned.")) for change in changed.value.changes)
    assert apply(dry, user=None, confirmed=True)


def test_dry_run_of_the_same_catalogue_is_applied_at_once(night: SourceImageCollection) -> None:
    dry = run_to_end(queue(night, ClassMaskingTask, dry_run=True))
    TaxaList.objects.get().save()
    assert apply(dry, user=None)


def test_same_basis_is_kept_once_and_goes_with_its_last_job(night: SourceImageCollection) -> None:
    jobs = [run_to_end(queue(night, ClassMaskingTask, dry_run=True)) for _ in range(2)]
    assert Basis.objects.count() == 1
    assert Job.objects.filter(basis=Basis.objects.get()).count() == 2
    Basis.objects.update(used_at=jobs[0].created_at.replace(year=2020))
    for job, left in zip(jobs, (1, 0), strict=True):
        long_ago = job.created_at.replace(year=2021)
        Job.objects.filter(pk=job.pk).update(finished_at=long_ago)
        before = job.created_at.replace(year=2022)
        assert list(prune(before, logs_before=before))
        assert Basis.objects.count() == left


def test_basis_that_a_job_was_just_planned_with_stays(night: SourceImageCollection) -> None:
    job = run_to_end(queue(night, ClassMaskingTask, dry_run=True))
    Job.objects.update(basis=None)
    before = job.created_at.replace(year=2000)
    list(prune(before, logs_before=before))
    assert Basis.objects.exists()


def test_what_cannot_be_compared_in_the_end_does_not_keep_the_job_from_it(
    night: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue(night, ClassMaskingTask)
    run_half(job)

    def consult(task: ClassMaskingTask) -> dict[str, Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(ClassMaskingTask, "consult", consult)
    run_parts(job, ROWS)
    assert job.outcome == Outcome.SUCCEEDED
    assert job.logs.filter(level="ERROR", message__startswith="The check whether").exists()


def test_row_by_a_category_map_of_a_later_time_is_skipped(night: SourceImageCollection) -> None:
    job = queue(night, ClassMaskingTask)
    hand_out(job)
    late = Classification.objects.latest("pk")
    late.category_map = make_map("x", "y", "z")
    late.save()
    run_parts(job, ROWS)
    assert job.outcome == Outcome.PROBLEMS
    (part,) = JobPart.objects.exclude(skipped={})
    assert list(part.skipped) == ["category map was not used when planned"]
