"""Fitting calibrations, and `manage.py calibrate`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ami.base.links import change_url
from ami.base.tests.commands import Ended, conforms, run_command
from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_deployment,
    make_member,
    make_project,
    make_user,
)
from ami.main.access import Role
from ami.main.models import Classification, Detection, Identification, Occurrence, Project
from ami.ml.models import Algorithm, AlgorithmCategoryMap, Calibration
from ami.review.calibration.answers import read_answers
from ami.review.calibration.fitting import above, fit
from ami.review.calibration.parts import CannotCalibrateError
from ami.review.statistics.halves import in_fitting_half
from ami.review.tests.judged import make_sample
from ami.review.tests.planted import make_tree

pytestmark = pytest.mark.django_db
Kind = Calibration.Kind
TEMPERATURE = 2.5
FIRST = 1_000_000_000  # ids decide the halves, so they are the same in any order of the tests


class Planted:
    """Occurrences whose truth is drawn from softmax(logits ÷ 2.5), with independent answers."""

    def __init__(self, number: int, *, agreed: bool = False, with_logits: bool = True) -> None:
        tree = make_tree()
        self.taxa = [tree.species, tree.sister, tree.other]
        category_map = AlgorithmCategoryMap.objects.create(
            data=[{"index": place, "label": one.name} for place, one in enumerate(self.taxa)]
        )
        self.algorithm: Algorithm = make_algorithm(category_map=category_map)
        self.project: Project = make_project()
        trap = make_deployment(project=self.project)
        capture, person = make_capture(deployment=trap), make_user()
        random = np.random.default_rng(7)
        logits = random.normal(0, 4, (number, 3))
        shares = _softmax(logits)
        truths = [random.choice(3, p=one) for one in _softmax(logits / TEMPERATURE)]
        first = FIRST + Occurrence.objects.count()
        occurrences = Occurrence.objects.bulk_create(
            Occurrence(pk=first + place, deployment=trap, project=self.project)
            for place in range(number)
        )
        detections = Detection.objects.bulk_create(
            Detection(source_image=capture, occurrence=one, bbox=[0, 0, 9, 9])
            for one in occurrences
        )
        rows = Classification.objects.bulk_create(
            Classification(
                detection=detection,
                taxon=self.taxa[int(share.argmax())],
                score=share.max(),
                logits=logit.tolist() if with_logits else None,
                algorithm=self.algorithm,
                category_map=category_map,
            )
            for detection, share, logit in zip(detections, shares, logits, strict=True)
        )
        Identification.objects.bulk_create(
            Identification(
                occurrence=occurrence,
                taxon=self.taxa[truth],
                user=person,
                agreed_with_prediction=row if agreed else None,
            )
            for occurrence, truth, row in zip(occurrences, truths, rows, strict=True)
        )

    def fitted(self, kind: Calibration.Kind, **options: Any) -> Calibration:
        found = fit(self.algorithm, self.project, **options)
        return next(one for one in found.calibrations if one.kind == kind)


def _softmax(logits: Any) -> Any:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def test_temperature_of_planted_logits_is_found() -> None:
    found = Planted(2000).fitted(Kind.TEMPERATURE)
    assert found.parameters["temperature"] == pytest.approx(TEMPERATURE, rel=0.15)
    figure = found.results["figures"][0]
    assert figure["after"] < figure["before"] / 2
    assert found.n_fit + found.n_report == 2000
    assert sum(one["n"] for one in found.bins["after"]) == found.n_report


def test_thresholds_reach_the_target_on_the_other_half() -> None:
    found = Planted(2000).fitted(Kind.THRESHOLD, target=0.9)
    thresholds = found.parameters["thresholds"]
    assert list(thresholds) == ["SPECIES", "GENUS", "FAMILY"]
    assert thresholds["SPECIES"] >= thresholds["GENUS"] >= thresholds["FAMILY"]
    species = found.results["figures"][0]
    assert species["low"] < species["accuracy"] < species["high"]
    assert species["accuracy"] > 0.87


def test_curve_of_all_names_is_fitted_and_one_per_taxon(client: Client) -> None:
    found = Planted(2000).fitted(Kind.LOGISTIC)
    assert found.parameters["pooled"]["slope"] > 0
    assert len(found.parameters["by_taxon"]) == 3
    assert "95 %" in found.parameters["pooled"]["words"]
    found.save()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    page = client.get(change_url(Calibration, found.pk)).text
    for one in found.parameters["by_taxon"].values():
        assert f"{one['name']}: {one['words']}." in page


def test_page_has_no_empty_fields(client: Client) -> None:
    found = Planted(200).fitted(Kind.THRESHOLD)
    found.save()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    page = client.get(change_url(Calibration, found.pk)).text
    assert "Species" in page
    assert "Reliability" not in page
    assert "By taxon" not in page


def test_halves_are_disjoint_and_decided_by_the_seed() -> None:
    planted = Planted(200)
    ids = np.array(list(planted.project.occurrences.values_list("pk", flat=True)))
    for seed in (0, 5):
        found = planted.fitted(Kind.TEMPERATURE, seed=seed)
        fitting = int(in_fitting_half(ids, seed).sum())
        assert (found.n_fit, found.n_report) == (fitting, 200 - fitting)


def test_agreeing_answers_do_not_count() -> None:
    planted = Planted(100, agreed=True)
    assert read_answers(planted.algorithm, planted.project) == []
    with pytest.raises(CannotCalibrateError, match=r"There are 0 independent answers of project"):
        fit(planted.algorithm, planted.project)


def test_answers_of_a_review_that_showed_the_names_do_not_count() -> None:
    planted = Planted(100)
    Identification.objects.update(sample=make_sample(items=1), blind=False)
    with pytest.raises(CannotCalibrateError, match=r"There are 0 independent answers of project"):
        fit(planted.algorithm, planted.project)
    Identification.objects.update(blind=True)
    assert fit(planted.algorithm, planted.project).calibrations


def test_answers_of_other_projects_do_not_count() -> None:
    planted = Planted(100)
    assert read_answers(planted.algorithm, make_project()) == []
    assert len(read_answers(planted.algorithm, None)) == 100


def test_without_logits_only_the_curve_is_fitted() -> None:
    planted = Planted(300, with_logits=False)
    found = fit(planted.algorithm, planted.project)
    assert [one.kind for one in found.calibrations] == [Kind.LOGISTIC]
    assert set(found.refusals) == {"temperature", "threshold"}
    assert found.refusals["threshold"].startswith("No identified occurrence has logits of")


def test_right_answers_only_are_refused_in_a_sentence() -> None:
    planted = Planted(100)
    for row in Classification.objects.all():
        taxon = row.detection.occurrence.identifications.get().taxon  # type: ignore[union-attr]
        Classification.objects.filter(pk=row.pk).update(taxon=taxon)
    refusals = fit(planted.algorithm, planted.project).refusals
    assert "answers are right, so the score cannot tell them apart" in refusals["logistic"]


def test_number_of_queries_does_not_grow() -> None:
    planted = Planted(800)
    counts = []
    for withdrawn in (
        planted.project.occurrences.values("pk").order_by("pk")[:400],
        planted.project.occurrences.none(),
    ):
        Identification.objects.update(withdrawn=False)
        Identification.objects.filter(occurrence__in=withdrawn).update(withdrawn=True)
        with CaptureQueriesContext(connection) as queries:
            fit(planted.algorithm, planted.project)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_threshold_is_raised_to_four_decimals() -> None:
    assert [above(one) for one in (0.0, 0.83, 0.99995, 1.0)] == [0.0001, 0.8301, 1.0, None]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def run(*arguments: Any) -> Ended:
        return run_command("ami.review", "calibrate", *arguments, capsys=capsys)

    return run


def test_command_stores_calibrations_with_their_author(shell: Callable[..., Ended]) -> None:
    planted = Planted(300)
    operator = make_member(planted.project, Role.OPERATOR)
    arguments = (planted.algorithm.key, "--project", planted.project.pk, "--as", operator.email)
    assert shell(*arguments, "--dry-run").code == 0
    assert not Calibration.objects.exists()
    ended = shell(*arguments, "--format", "json")
    assert conforms(ended.json, schema="calibrate")
    assert {one["kind"] for one in ended.json["calibrations"]} == {*Kind.values} - {Kind.LIMIT}
    assert {one.author for one in Calibration.objects.all()} == {operator}


@pytest.mark.parametrize(
    ("number", "options"),
    [(29, []), (60, ["--dry-run"]), (300, ["--target", "0.999"]), (300, ["--target", "0.01"])],
)
def test_json_conforms(shell: Callable[..., Ended], number: int, options: list[str]) -> None:
    """Too few answers for any kind, for some taxa, and targets out of reach."""
    planted = Planted(number)
    ended = shell(planted.algorithm.pk, *options, "--format", "json")
    assert conforms(ended.json, schema="calibrate")
    assert bool(ended.json["error"]) == (number == 29)


def test_refusals_of_single_kinds_conform(shell: Callable[..., Ended]) -> None:
    planted = Planted(120, with_logits=False)
    ended = shell(planted.algorithm.pk, "--format", "json")
    assert conforms(ended.json, schema="calibrate")
    assert set(ended.json["refusals"]) == {Kind.TEMPERATURE, Kind.THRESHOLD}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seed", "-1"], "Argument --seed: must be from 0 to 9223372036854775807, got -1."),
        (["--seed", "9" * 30], "Argument --seed: must be from 0 to 9223372036854775807, got 99"),
        (["--target", "nan"], "--target must be between 0 and 1."),
    ],
)
def test_odd_numbers_are_refused_in_a_sentence(
    shell: Callable[..., Ended], options: list[str], sentence: str
) -> None:
    ended = shell(Planted(60).algorithm.pk, *options, "--format", "json")
    assert ended.code == 2
    assert ended.err.startswith(sentence)
    assert conforms(ended.json, schema="calibrate")


@pytest.mark.parametrize(
    ("role", "sentence"), [(Role.VIEWER, "lacks ml.add_calibration"), (None, "There is no project")]
)
def test_command_needs_an_operator(
    shell: Callable[..., Ended], role: Role | None, sentence: str
) -> None:
    planted = Planted(60)
    person = make_member(planted.project if role else make_project(), role or Role.OPERATOR)
    ended = shell(planted.algorithm.pk, "--project", planted.project.pk, "--as", person.email)
    assert ended.code == 2
    assert sentence in ended.err


def test_command_for_all_projects_needs_a_superuser(shell: Callable[..., Ended]) -> None:
    planted = Planted(60)
    person = make_member(planted.project, Role.MANAGER)
    ended = shell(planted.algorithm.pk, "--as", person.email)
    assert (ended.code, "is not a superuser" in ended.err) == (2, True)


def test_page_shows_the_diagram(client: Any) -> None:
    planted = Planted(200)
    one = planted.fitted(Kind.TEMPERATURE)
    one.save()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    text = client.get(f"/admin/ml/calibration/{one.pk}/change/").content.decode()
    assert text.count("<svg") >= 2
    assert "Calibration error" in text
