"""The options of rank rollup."""

from typing import Any

import pytest
from pydantic import ValidationError

from ami.base.tests.factories import make_algorithm, make_taxon
from ami.jobs.states import JobFailedError
from ami.main.models import TaxonRank
from ami.ml.models import Algorithm
from ami.ml.post_processing.rank_rollup import RankRollupConfig
from ami.ml.post_processing.tests.rollups import classifier, name_of, roll_up
from ami.ml.post_processing.tests.vectors import make_classifier, make_source, make_species
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config, stored_config

__all__ = ["classifier"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        ([0.5, 0.25, 0.0, 0.0], 0.75, "G"),
        ([0.5, 0.25, 0.0, 0.0], 0.7500001, None),
        ([0.1, 0.2, 0.0, 0.0], 0.3, "G"),
        ([0.7, 0.1, 0.0, 0.0], 0.8, "G"),  # 0.7999999999999999 as Python adds
        ([0.7, 0.3, 0.0, 0.0], 1.0, "G"),
        ([0.6, 0.4000001, 0.0, 0.0], 1.0, "G"),  # as single precision adds
    ],
)
def test_threshold_is_reached_at_its_very_value(
    classifier: Algorithm, scores: list[float], threshold: float, expected: str | None
) -> None:
    source = make_source(classifier, scores=scores)
    roll_up(thresholds={"GENUS": threshold})
    assert name_of(source) == expected


@pytest.mark.parametrize("rank", TaxonRank.values)
def test_any_rank_may_have_a_threshold(rank: str) -> None:
    home = make_taxon(name="home", rank=rank)
    make_species("a", "b", parent=home)
    source = make_source(make_classifier("a", "b"), scores=[0.5, 0.4])
    roll_up(thresholds={rank: 0.5})
    assert name_of(source) == ("a" if rank == "SPECIES" else "home")


def test_unknown_rank_is_tried_last() -> None:
    home = make_taxon(name="home", rank="UNKNOWN")
    family = make_taxon(name="F", rank="FAMILY", parent=home)
    make_species("a", "b", parent=family)
    source = make_source(make_classifier("a", "b"), scores=[0.5, 0.4])
    roll_up(thresholds={"UNKNOWN": 0.1, "FAMILY": 0.9})
    assert name_of(source) == "F"


def test_rows_of_one_algorithm_can_be_chosen(classifier: Algorithm) -> None:
    chosen = make_source(classifier, scores=[0.9, 0.0, 0.0, 0.0])
    other = make_source(
        make_algorithm(category_map=classifier.category_map), scores=[0.9, 0.0, 0.0, 0.0]
    )
    assert roll_up(algorithm_id=classifier.pk)["classifications_checked"] == 1
    assert (name_of(chosen), name_of(other)) == ("a", None)


def test_algorithm_that_is_gone_is_told(classifier: Algorithm) -> None:
    make_source(classifier, scores=[0.9, 0.0, 0.0, 0.0])
    with pytest.raises(JobFailedError, match=f"Algorithm {2**40} no longer exists"):
        roll_up(algorithm_id=2**40)


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ({}, "thresholds: must name at least one rank."),
        ({"GENUS": 0}, "thresholds.GENUS must be above 0, got 0."),
        ({"GENUS": 1.5}, "thresholds.GENUS must be at most 1, got 1.5."),
        ({"GENUS": "high"}, "thresholds.GENUS must be a number, got 'high'."),
    ],
)
def test_thresholds_that_say_nothing_are_refused(thresholds: Any, sentence: str) -> None:
    with pytest.raises(ConfigValidationErrors) as refusal:
        parse_config(RankRollupConfig, {"occurrence_id": 1, "thresholds": thresholds})
    assert str(refusal.value) == sentence


def test_rank_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigValidationErrors, match="must be one of 'KINGDOM', 'PHYLUM'"):
        parse_config(RankRollupConfig, {"occurrence_id": 1, "thresholds": {"TRIBUS": 0.5}})


def test_threshold_is_a_finite_number() -> None:
    for odd in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            RankRollupConfig(occurrence_id=1, thresholds={"GENUS": odd})


def test_options_are_stored_by_the_names_of_ranks() -> None:
    config = parse_config(RankRollupConfig, {"occurrence_id": 1})
    assert stored_config(config) == {
        "occurrence_id": 1,
        "thresholds": {"SPECIES": 0.8, "GENUS": 0.6, "FAMILY": 0.4},
        "lineage": "constrained",
    }
