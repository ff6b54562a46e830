"""`manage.py draw_sample` and `manage.py review_result`."""

from collections.abc import Callable
from typing import Any

import pytest

from ami.base.tests.commands import Ended, conforms, run_command
from ami.base.tests.factories import make_member, make_project, make_taxon
from ami.main.access import Role
from ami.main.models import Project
from ami.review.models import Sample
from ami.review.tests.drawn import changed_by_job, make_occurrences
from ami.review.tests.judged import judge, make_sample

pytestmark = pytest.mark.django_db
Shell = Callable[..., Ended]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    def run(command: str, *arguments: Any) -> Ended:
        return run_command("ami.review", command, *arguments, capsys=capsys)

    return run


@pytest.fixture
def project() -> Project:
    project = make_project()
    for score in (0.2, 0.9):
        make_occurrences(project, 10, taxon=make_taxon(), score=score)
    return project


def test_sample_of_a_project_is_drawn(shell: Shell, project: Project) -> None:
    ended = shell("draw_sample", "--project", project.pk, "--seed", 7, "--size", 5)
    sample = Sample.objects.get()
    assert ended == Ended(0, f"Sample {sample.pk}: drew 5 of 20 occurrences with the seed 7.\n", "")
    assert (sample.blind, sample.identifies, sample.user) == (True, True, None)


def test_options_of_the_sample_are_kept(shell: Shell, project: Project) -> None:
    operator = make_member(project, Role.OPERATOR)
    options = ("--size", 8, "--strata", "score", "--double", 0.5, "--name", "Spring")
    ended = shell(
        "draw_sample",
        *("--occurrences", "?determination_score__lte=0.95", "--project", project.pk),
        *(*options, "--show-names", "--judgements-only", "--as", operator.email),
        *("--format", "json"),
    )
    sample = Sample.objects.get()

    assert conforms(ended.json, schema="draw_sample")
    assert (ended.json["sample"], ended.json["items"], ended.json["error"]) == (sample.pk, 8, "")
    assert (sample.name, sample.strata, sample.user) == ("Spring", "score", operator)
    assert (sample.blind, sample.identifies) == (False, False)
    assert sample.items.filter(is_double=True).count() == 4


def test_sample_of_a_job_has_the_proposed_size(shell: Shell, project: Project) -> None:
    job = changed_by_job(list(project.occurrences.all()), make_taxon())
    ended = shell("draw_sample", "--job", job.pk)
    assert ended.code == 0, ended.err
    assert Sample.objects.get().items.count() == 18  # of 20, for 90 % ± 5 %


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "One of --job, --collection, --event, --occurrences, --project must be given."),
        (("--job", 9), 1, "There is no Job 9."),
        (("--occurrences", "q=moth"), 1, "Name the project."),
        (("--project", 1, "--double", 2), 2, "Argument --double: must be from 0 to 1, got '2'."),
        (("--project", 1, "--seed", -1), 2, "Argument --seed: must be from 0 to "),
        (("--job", 1, "--event", 1), 2, "Argument --event: not allowed with argument --job."),
    ],
)
def test_incorrect_usage_is_one_sentence(
    shell: Shell, arguments: tuple[Any, ...], code: int, sentence: str
) -> None:
    ended = shell("draw_sample", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(sentence)
    refused = shell("draw_sample", *arguments, "--format", "json")
    assert conforms(refused.json, schema="draw_sample")


def test_people_draw_with_their_own_rights(shell: Shell, project: Project) -> None:
    viewer = make_member(project)
    ended = shell("draw_sample", "--project", project.pk, "--as", viewer.email)
    assert (ended.code, ended.err) == (1, f"There is no project {project.pk}.\n")


def test_result_is_told_in_sentences_and_as_json(shell: Shell) -> None:
    sample = make_sample(items=12, population=20, taxon=make_taxon(name="Noctua pronuba"))
    items = list(sample.items.order_by("position"))
    judge(items[:10], "right")
    judge(items[10:11], "wrong")
    judge(items[:2], "wrong")
    told = shell("review_result", sample.pk)

    assert told.code == 0, told.err
    assert told.out.startswith("90.9 % right (95 % interval: ")
    assert "  Noctua pronuba: 10 of 11 right, 90.9 % (" in told.out
    for form in (["--json"], ["--format", "json"]):
        value = shell("review_result", sample.pk, *form).json
        assert conforms(value, schema="review_result")
        assert (value["answered"], value["items"], value["error"]) == (11, 12, "")
        assert value["agreement"] == {"items": 2, "same": 0, "kappa": 0.0}


def test_result_of_a_stratified_sample_conforms(shell: Shell) -> None:
    populations = [{"name": "low", "population": 90}, {"name": "high", "population": 10}]
    sample = make_sample(items=2, strata="score", populations=populations, population=100)
    assert conforms(shell("review_result", sample.pk, "--json").json, schema="review_result")


def test_samples_of_other_projects_do_not_exist(shell: Shell) -> None:
    viewer = make_member(make_project())
    sample = make_sample(items=1)
    ended = shell("review_result", sample.pk, "--as", viewer.email, "--json")
    assert (ended.code, ended.err) == (2, f"There is no sample {sample.pk}.\n")
    assert conforms(ended.json, schema="review_result")
