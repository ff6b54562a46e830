"""Calibrations on the pages of options, and that of the limit of class masking."""

import re
from typing import Any

import numpy as np
import pytest
from django.test import Client

from ami.base.tests.commands import Ended, conforms, run_command
from ami.base.tests.factories import make_capture_set, make_member, make_project
from ami.main.access import Role
from ami.main.models import SourceImage, SourceImageCollection, TaxaList
from ami.ml.models import Calibration
from ami.ml.post_processing.tests.clicks import KEY, post
from ami.ml.post_processing.tests.vectors import make_list
from ami.review.calibration.fitting import fit
from ami.review.calibration.masking import limit_of
from ami.review.tests.test_calibration import TEMPERATURE, Planted

pytestmark = pytest.mark.django_db
Kind = Calibration.Kind


class Site:
    """A selection of classifications with logits, with all calibrations of their classifier."""

    def __init__(self, number: int = 400, target: float = 0.5) -> None:
        self.planted = Planted(number)
        self.list: TaxaList = make_list(*self.planted.taxa[:2])
        self.list.projects.add(self.planted.project)
        self.fitted = {
            one.kind: one
            for one in fit(
                self.planted.algorithm, self.planted.project, target=target, taxa_list=self.list
            ).calibrations
        }
        for one in self.fitted.values():
            one.save()
        self.captures: SourceImageCollection = make_capture_set(list(SourceImage.objects.all()))

    def page(self, client: Client, method: str, **fields: Any) -> Any:
        return post(client, [self.captures.pk], action=f"run_{method}", **fields)


def test_limit_is_that_of_the_probability_that_a_masked_name_is_right() -> None:
    """Truths are drawn from softmax(logits / 2.5), so the probability of each winner is known."""
    site = Site(4000, target=0.6)
    found = site.fitted[Kind.LIMIT]
    limit = found.parameters["limit"]
    assert found.parameters == {"taxa_list": site.list.pk, "name": "List", "limit": limit}
    logits = np.random.default_rng(7).normal(0, 4, (4000, 3))  # as planted
    shares, truth = (
        np.exp(logits / warmth) / np.exp(logits / warmth).sum(axis=1, keepdims=True)
        for warmth in (1, TEMPERATURE)
    )
    right = truth[np.arange(4000), logits[:, :2].argmax(axis=1)]
    near = np.abs(shares[:, 2] - limit) < 0.05
    assert near.sum() > 50
    assert right[near].mean() == pytest.approx(0.6, abs=0.06)
    first, second = found.sentences()
    assert first.startswith(f"Limit of the probability that List may remove: {limit:g}. ")
    assert second.startswith("Up to it: ")
    assert found.n_fit + found.n_report == 4000


@pytest.mark.parametrize(
    ("least", "limit"),
    [(None, None), (0.25, 0.75), (0.0, 0.9999), (0.99999, None), (0.3333, 0.6667)],
)
def test_limit_is_a_legal_option(least: float | None, limit: float | None) -> None:
    assert limit_of(least) == limit


def test_list_without_a_class_is_told() -> None:
    planted = Planted(300)
    refusals = fit(planted.algorithm, planted.project, taxa_list=make_list()).refusals
    assert refusals == {Kind.LIMIT: "List holds no class of the algorithm."}


def test_target_out_of_reach_is_told() -> None:
    site = Site(300, target=0.999)
    assert site.fitted[Kind.LIMIT].parameters["limit"] is None
    assert "out of reach" in site.fitted[Kind.LIMIT].offer


@pytest.mark.parametrize(
    ("method", "kind", "told", "button"),
    [
        ("rank_rollup", Kind.THRESHOLD, "For 50 % accuracy", "Use the thresholds for 50 %"),
        ("class_masking", Kind.LIMIT, "masked by List", "Use the limit for 50 % accuracy"),
        ("track_consensus", Kind.TEMPERATURE, "Temperature of", "Use this temperature"),
    ],
)
def test_pages_of_options_offer_calibrations_to_members_only(
    client: Client, method: str, kind: str, told: str, button: str
) -> None:
    site = Site()
    client.force_login(make_member(site.planted.project, Role.OPERATOR))
    text = site.page(client, method).text
    offer = site.fitted[kind]
    assert f"/admin/ml/calibration/{offer.pk}/change/" in text
    assert f"fitted on {offer.n_fit:,} independent answers, {offer.created_at:%Y-%m-%d};" in text
    assert told in text
    if kind == Kind.THRESHOLD:
        assert re.search(r"For 50 % accuracy of [^:]+: species [\d.]+, genus [\d.]+, family ", text)
    assert f'name="_fill" value="{offer.pk}">{button}' in text
    Calibration.objects.update(project=make_project())
    text = site.page(client, method).text
    assert "independent answers" not in text
    assert "_fill" not in text


def test_the_latest_calibration_is_offered(client: Client) -> None:
    site = Site()
    client.force_login(make_member(site.planted.project, Role.OPERATOR))
    former = site.fitted[Kind.TEMPERATURE]
    later = Calibration.objects.get(pk=former.pk)
    later.pk, later.parameters = None, {"temperature": 3.0}
    later.save()
    text = site.page(client, "track_consensus").text
    assert f'value="{later.pk}">Use' in text
    assert f'value="{former.pk}">Use' not in text


def test_a_temperature_that_the_option_refuses_has_no_button(client: Client) -> None:
    site = Site()
    client.force_login(make_member(site.planted.project, Role.OPERATOR))
    Calibration.objects.filter(kind=Kind.TEMPERATURE).update(parameters={"temperature": 40.0})
    text = site.page(client, "track_consensus").text
    assert "Temperature of" in text
    assert "_fill" not in text


class TestButton:
    """It needs no script."""

    def initial(self, client: Client, site: Site, method: str, kind: str, **typed: Any) -> Any:
        pk = site.fitted[kind].pk
        page = site.page(client, method, launch_key=KEY, _fill=str(pk), **typed)
        assert page.status_code == 200
        return page.context["adminform"].form.initial

    def test_it_fills_the_thresholds_in(self, client: Client) -> None:
        site = Site()
        client.force_login(make_member(site.planted.project, Role.OPERATOR))
        typed = {"thresholds_SPECIES": "0.123", "thresholds_GENUS": "", "lineage": "global"}
        initial = self.initial(client, site, "rank_rollup", Kind.THRESHOLD, **typed)
        thresholds = site.fitted[Kind.THRESHOLD].parameters["thresholds"]
        assert initial["thresholds"] == thresholds
        assert initial["lineage"] == "global", "what was typed elsewhere stays"
        text = site.page(
            client, "rank_rollup", launch_key=KEY, _fill=str(site.fitted[Kind.THRESHOLD].pk)
        ).text
        assert f'name="thresholds_SPECIES" value="{thresholds["SPECIES"]}"' in text

    def test_it_fills_the_limit_in_with_its_list_and_classifier(self, client: Client) -> None:
        site = Site()
        client.force_login(make_member(site.planted.project, Role.OPERATOR))
        initial = self.initial(client, site, "class_masking", Kind.LIMIT)
        assert {name: initial[name] for name in ("removed_mass_limit", "taxa_list_id")} == {
            "removed_mass_limit": site.fitted[Kind.LIMIT].parameters["limit"],
            "taxa_list_id": site.list.pk,
        }
        assert initial["algorithm_id"] == site.planted.algorithm.pk

    def test_it_fills_the_temperature_in(self, client: Client) -> None:
        site = Site()
        client.force_login(make_member(site.planted.project, Role.OPERATOR))
        typed = {"min_frames": "5", "rule": "best"}
        initial = self.initial(client, site, "track_consensus", Kind.TEMPERATURE, **typed)
        expected = site.fitted[Kind.TEMPERATURE].parameters["temperature"]
        assert initial["temperature"] == pytest.approx(expected, abs=1e-4)
        assert (initial["min_frames"], initial["rule"]) == ("5", "best")

    @pytest.mark.parametrize("pk", ["", "x", "0", "9" * 40])
    def test_odd_values_fill_nothing_in(self, client: Client, pk: str) -> None:
        site = Site(60)
        client.force_login(make_member(site.planted.project, Role.OPERATOR))
        page = site.page(client, "track_consensus", launch_key=KEY, _fill=pk, temperature="1.5")
        assert page.context["adminform"].form.initial["temperature"] == "1.5"

    def test_it_fills_in_nothing_of_other_projects_or_kinds(self, client: Client) -> None:
        site = Site()
        client.force_login(make_member(site.planted.project, Role.OPERATOR))
        kinds = {"track_consensus": Kind.LIMIT, "class_masking": Kind.TEMPERATURE}
        for method, kind in kinds.items():
            initial = self.initial(client, site, method, kind, temperature="1.5")
            assert initial.get("temperature", "1.5") == "1.5"
        Calibration.objects.update(project=make_project())
        initial = self.initial(client, site, "track_consensus", Kind.TEMPERATURE, temperature="1.5")
        assert initial["temperature"] == "1.5"


def test_command_fits_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    def shell(*arguments: Any) -> Ended:
        return run_command("ami.review", "calibrate", *arguments, capsys=capsys)

    planted = Planted(300)
    taxa_list = make_list(*planted.taxa[:2])
    asked = (planted.algorithm.pk, "--taxa-list", taxa_list.pk, "--target", "0.5")
    ended = shell(*asked, "--format", "json")
    assert conforms(ended.json, schema="calibrate")
    assert {one["kind"] for one in ended.json["calibrations"]} == set(Kind.values)
    ended = shell(planted.algorithm.pk, "--taxa-list", "12345")
    assert (ended.code, "There is no taxa list 12345." in ended.err) == (2, True)


def test_a_list_of_another_project_is_no_choice(client: Client) -> None:
    planted = Planted(60)
    foreign = make_list(*planted.taxa[:2])
    foreign.projects.add(make_project())
    client.force_login(make_member(planted.project, Role.OPERATOR))
    page = client.post(
        "/admin/ml/calibration/add/",
        {
            "algorithm": planted.algorithm.pk,
            "project": planted.project.pk,
            "taxa_list": foreign.pk,
            "target": 0.9,
            "seed": 0,
        },
    )
    assert "Select a valid choice." in page.text
