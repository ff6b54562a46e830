"""Masking and rollup compared with reference implementations, on any taxonomies and vectors."""

from collections.abc import Sequence

import pytest
from django.db import transaction
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import make_capture_set, make_detection
from ami.main.models import Classification, Taxon
from ami.ml.integrity_checks import get_category_maps_with_unresolved_labels
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.tests import derived_reference as plain
from ami.ml.post_processing.tests.derived_reference import Label, Name, name_of
from ami.ml.post_processing.tests.vectors import make_classifier, make_list

pytestmark = pytest.mark.django_db

SIZE = 7
RANKS = ("FAMILY", "TRIBE", "GENUS", "SPECIES", "UNKNOWN")
whole = settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
logits = (
    st.sampled_from([0.0, -0.0, 1.0, 1000.0, -1000.0])
    | st.floats(-20, 20)
    | st.floats(-1e308, 1e308)
)
shares = st.integers(0, 8).map(lambda eighths: eighths / 64) | st.floats(0, 1 / SIZE)
numbers = st.none() | st.integers(0, SIZE - 1)
keys = st.none() | st.integers(1, 3)
searched = st.sampled_from(["spelling", "spelt", name_of(0)])
names = st.builds(
    Name,
    st.sampled_from(RANKS),
    numbers,
    st.none() | numbers,
    keys,
    st.lists(searched, max_size=2).map(tuple),
)
trees = st.lists(names, min_size=SIZE, max_size=SIZE)
# The last of the numbers names no taxon.
texts = st.integers(0, SIZE).map(name_of) | searched
labels = st.lists(
    st.builds(Label, texts, keys), min_size=1, max_size=SIZE, unique_by=lambda label: label.text
)

# A species and its genus, a synonym, and three species that nothing lies above.
SIMPLE = [
    Name("SPECIES", 1, None),
    Name("GENUS", None, None),
    Name("SPECIES", None, 0),
    *[Name("SPECIES", None, None)] * (SIZE - 3),
]
THREE = [Label(name_of(number)) for number in (0, 3, 4)]


def write_tree(tree: Sequence[Name]) -> list[Taxon]:
    taxa = Taxon.objects.bulk_create(
        Taxon(
            name=name_of(number),
            rank=name.rank,
            gbif_taxon_key=name.key,
            search_names=list(name.search_names),
        )
        for number, name in enumerate(tree)
    )
    for taxon, name in zip(taxa, tree, strict=True):
        taxon.parent = None if name.parent is None else taxa[name.parent]
        taxon.synonym_of = None if name.synonym_of is None else taxa[name.synonym_of]
        taxon.save()
    return taxa


def make_row(chosen: Sequence[Label], **vectors: list[float]) -> Classification:
    classifier = make_classifier(
        *({"label": label.text, "gbif_key": label.key} for label in chosen)
    )
    return Classification.objects.create(
        detection=make_detection(), algorithm=classifier, score=0.5, **vectors
    )


@whole
@given(
    trees,
    labels,
    st.lists(logits, min_size=SIZE, max_size=SIZE),
    st.sets(st.integers(0, SIZE - 1), min_size=1),
    st.tuples(st.booleans(), st.none() | st.floats(0.01, 0.99)),
)
@example(SIMPLE, THREE, [0.0, 1000.0, 2000.0], {1}, (True, None))  # one class stays, 1,000 apart
@example(SIMPLE, THREE, [0.0, 1000.0, 2000.0], {1, 3}, (False, None))
@example(SIMPLE, THREE, [1.0, 1.0, 1.0], {2, 3}, (True, None))  # ties, and a synonym on the list
@example(SIMPLE, THREE, [0.0, 0.0, -30.0], {0, 3}, (True, None))  # all but nothing is removed
@example(SIMPLE, THREE, [0.0, 1000.0, 2000.0], {1}, (True, 0.5))
def test_masking_does_as_the_plain_one(
    tree: list[Name],
    chosen: list[Label],
    vector: list[float],
    listed: set[int],
    options: tuple[bool, float | None],
) -> None:
    reweight, limit = options
    vector = vector[: len(chosen)]
    kept = [plain.stays(tree, label, listed) for label in chosen]
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
            removed_mass_limit=limit,
        ).run()
        result = Classification.objects.filter(applied_to=source, terminal=True).first()
        source.refresh_from_db()
        checked = get_category_maps_with_unresolved_labels().exists()
        transaction.set_rollback(True)

    assert checked is any(plain.resolve(tree, label) is None for label in chosen)
    expected = plain.mask(vector, kept, reweight=reweight)
    assume(limit is None or abs(expected.removed - limit) > 1e-9)
    assert source.terminal is (result is None)
    if expected.removed <= 1e-9 or (limit is not None and expected.removed > limit):
        assert result is None
        return
    assert result is not None
    assert result.scores == pytest.approx(expected.scores, rel=1e-9, abs=1e-300)
    assert not any(
        score for score, stays in zip(result.scores or [], kept, strict=True) if not stays
    )
    winner = plain.resolve(tree, chosen[expected.winner])
    assert winner is not None
    assert result.taxon_id == taxa[winner].pk
    assert result.score == (result.scores or [])[expected.winner]
    assert repr(result.logits) == repr(source.logits)
    assert result.metadata["removed_mass"] == pytest.approx(expected.removed)


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
@example(SIMPLE, THREE, [0.1, 0.3, 0.2], {"SPECIES": 0.3}, (True, False))  # at the threshold
@example(SIMPLE, THREE, [0.1, 0.3, 0.2], {"GENUS": 0.1}, (False, False))  # others have no genus
@example(SIMPLE, THREE, [0.2, 0.2, 0.1], {"SPECIES": 0.1}, (True, False))  # of two, the first
@example(SIMPLE, [*THREE, Label("nobody")], [0.1] * 3 + [0.5], {"SPECIES": 0.1}, (True, False))
def test_rollup_does_as_the_plain_one(
    tree: list[Name],
    chosen: list[Label],
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
        source.refresh_from_db()
        transaction.set_rollback(True)

    assert source.terminal is (result is None)
    given_shares = plain.plain_softmax(vector) if as_logits else vector
    expected = plain.roll_up(tree, chosen, given_shares, thresholds, constrained=constrained)
    if expected is None:
        assert result is None
        return
    number, score = expected
    assert result is not None
    assert result.taxon_id == taxa[number].pk
    assert result.score == pytest.approx(score)
