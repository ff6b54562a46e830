"""Masking and rollup against plain, slow ones, on taxonomies and vectors of any kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from django.db import transaction
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import make_capture_set, make_detection
from ami.main.models import Classification, Taxon, TaxonRank
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.tests.vectors import make_classifier, make_list, plain_softmax

pytestmark = pytest.mark.django_db

SIZE = 7
RANKS = ("FAMILY", "TRIBE", "GENUS", "SPECIES", "UNKNOWN")
whole = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
logits = (
    st.sampled_from([0.0, -0.0, 1.0, 1000.0, -1000.0])
    | st.floats(-20, 20)
    | st.floats(-1e308, 1e308)
)
shares = st.integers(0, 8).map(lambda eighths: eighths / 64) | st.floats(0, 1 / SIZE)


@dataclass(frozen=True)
class Name:
    """A taxon by its number: parent and accepted one are numbers, of any taxon or none."""

    rank: str
    parent: int | None
    synonym_of: int | None


numbers = st.none() | st.integers(0, SIZE - 1)
names = st.builds(Name, st.sampled_from(RANKS), numbers, st.none() | numbers)
trees = st.lists(names, min_size=SIZE, max_size=SIZE)
# Labels beyond the taxa stand for none.
labels = st.lists(st.integers(0, SIZE), min_size=1, max_size=SIZE, unique=True)


def write_tree(tree: Sequence[Name]) -> list[Taxon]:
    taxa = Taxon.objects.bulk_create(
        Taxon(name=f"taxon {number}", rank=name.rank) for number, name in enumerate(tree)
    )
    for taxon, name in zip(taxa, tree, strict=True):
        taxon.parent = None if name.parent is None else taxa[name.parent]
        taxon.synonym_of = None if name.synonym_of is None else taxa[name.synonym_of]
        taxon.save()
    return taxa


def accepted(tree: Sequence[Name], number: int) -> int:
    seen = [number]
    while (following := tree[seen[-1]].synonym_of) is not None:
        if following in seen:
            return number
        seen.append(following)
    return seen[-1]


def lineage(tree: Sequence[Name], label: int) -> list[int]:
    if label >= len(tree):
        return []
    line: list[int] = []
    number: int | None = accepted(tree, label)
    while number is not None and number not in line:
        line.append(number)
        number = tree[number].parent
    return line


def make_row(algorithm_labels: Sequence[int], **vectors: list[float]) -> Classification:
    classifier = make_classifier(*(f"taxon {label}" for label in algorithm_labels))
    return Classification.objects.create(
        detection=make_detection(), algorithm=classifier, score=0.5, **vectors
    )


@whole
@given(
    trees,
    labels,
    st.lists(logits, min_size=SIZE, max_size=SIZE),
    st.sets(st.integers(0, SIZE - 1), min_size=1),
    st.booleans(),
)
def test_masking_does_as_the_plain_one(
    tree: list[Name], chosen: list[int], vector: list[float], listed: set[int], reweight: bool
) -> None:
    vector = vector[: len(chosen)]
    on_list = listed | {accepted(tree, number) for number in listed}
    kept = [bool(on_list.intersection(lineage(tree, label))) for label in chosen]
    assume(any(kept))
    with transaction.atomic():
        taxa = write_tree(tree)
        source = make_row(chosen, logits=vector)
        assert source.algorithm
        ClassMaskingTask(
            source_image_collection_id=make_capture_set([source.detection.source_image]).pk,
            taxa_list_id=make_list(*(taxa[number] for number in listed)).pk,
            algorithm_id=source.algorithm.pk,
            reweight=reweight,
        ).run()
        result = Classification.objects.filter(applied_to=source, terminal=True).first()
        source.refresh_from_db()
        transaction.set_rollback(True)

    full = plain_softmax(vector)
    removed = sum(share for share, stays in zip(full, kept, strict=True) if not stays)
    if removed <= 1e-9:
        assert result is None
        return
    inside = [logit for logit, stays in zip(vector, kept, strict=True) if stays]
    alone = iter(plain_softmax(inside))
    expected = [
        (next(alone) if reweight else share) if stays else 0.0
        for share, stays in zip(full, kept, strict=True)
    ]
    winner = next(n for n, stays in enumerate(kept) if stays and vector[n] == max(inside))
    assert result is not None
    assert result.scores == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert [score for score, stays in zip(result.scores or [], kept, strict=True) if not stays] == [
        0.0
    ] * kept.count(False)
    assert result.taxon_id == taxa[accepted(tree, chosen[winner])].pk
    assert result.score == (result.scores or [])[winner]
    assert repr(result.logits) == repr(source.logits)
    assert result.metadata["removed_mass"] == pytest.approx(removed)


def plain_rollup(
    tree: Sequence[Name],
    chosen: Sequence[int],
    vector: Sequence[float],
    thresholds: dict[str, float],
    *,
    constrained: bool,
) -> tuple[int, float] | None:
    """The winner's number and score."""
    top = chosen[max(range(len(vector)), key=lambda place: (vector[place], -place))]
    finest_first = [rank for rank in reversed(TaxonRank.values) if rank != "UNKNOWN"]
    for rank in [*finest_first, "UNKNOWN"]:
        if rank not in thresholds:
            continue
        sums: dict[int, float] = {}
        for label, share in zip(chosen, vector, strict=True):
            for number in lineage(tree, label):
                if tree[number].rank == rank:
                    sums[number] = sums.get(number, 0.0) + share
                    break
        if constrained:
            above = [number for number in lineage(tree, top) if tree[number].rank == rank]
            sums = {number: sums[number] for number in above[:1]}
        if sums:
            best = max(sums, key=lambda number: sums[number])  # the first of equal ones
            if round(sums[best], 12) >= thresholds[rank]:
                return best, sums[best]
    return None


@whole
@given(
    trees,
    labels,
    st.lists(shares, min_size=SIZE, max_size=SIZE),
    st.dictionaries(
        st.sampled_from(RANKS),
        st.sampled_from([0.125, 0.25, 0.375, 0.5]) | st.floats(0.01, 1),
        min_size=1,
    ),
    st.tuples(st.booleans(), st.booleans()),
)
def test_rollup_does_as_the_plain_one(
    tree: list[Name],
    chosen: list[int],
    vector: list[float],
    thresholds: dict[str, float],
    switches: tuple[bool, bool],
) -> None:
    constrained, as_logits = switches
    vector = vector[: len(chosen)]
    with transaction.atomic():
        taxa = write_tree(tree)
        source = make_row(chosen, **{"logits" if as_logits else "scores": vector})
        RankRollupTask(
            source_image_collection_id=make_capture_set([source.detection.source_image]).pk,
            thresholds=thresholds,
            lineage="constrained" if constrained else "global",
        ).run()
        result = Classification.objects.filter(applied_to=source, terminal=True).first()
        transaction.set_rollback(True)

    given_shares = plain_softmax(vector) if as_logits else vector
    expected = plain_rollup(tree, chosen, given_shares, thresholds, constrained=constrained)
    if expected is None:
        assert result is None
        return
    number, score = expected
    assert result is not None
    assert result.taxon_id == taxa[number].pk
    assert result.score == pytest.approx(score)
