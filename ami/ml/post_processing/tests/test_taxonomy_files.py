"""Masking and rollup with the labels of a real classifier and the names of a checklist."""

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ami.base.tests.factories import make_capture, make_capture_set
from ami.base.tests.shared import CHECKLIST, HIERARCHY, OWN_CHECKLIST, OWN_HIERARCHY, third_party
from ami.base.vectors import Vector
from ami.exchange.name_lists.reading import read_name_list
from ami.exchange.taxa import import_taxa
from ami.main.models import Classification, Detection, SourceImageCollection, TaxaList, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.tests.derived_reference import plain_softmax
from ami.ml.post_processing.tests.vectors import make_classifier

ROWS = 12

pytestmark = pytest.mark.django_db


class Names(NamedTuple):
    """The labels of a classifier, a checklist, and the expected results."""

    hierarchy: Path
    checklist: Path
    labels: int
    off_list: int
    synonyms: int
    spread: float  # of the logits: with these thresholds, each rank is reached by some rows
    thresholds: dict[str, float]


OWN = Names(
    OWN_HIERARCHY,
    OWN_CHECKLIST,
    labels=12,
    off_list=4,
    synonyms=3,
    spread=1,
    thresholds={"GENUS": 0.5, "FAMILY": 0.45},
)
QUEBEC = Names(
    HIERARCHY,
    CHECKLIST,
    labels=3108,
    off_list=177,
    synonyms=93,
    spread=3,
    thresholds={"GENUS": 0.25, "FAMILY": 0.2},
)


@pytest.fixture(params=[pytest.param(OWN, id="own"), third_party(QUEBEC, HIERARCHY, CHECKLIST)])
def names(request: pytest.FixtureRequest) -> Names:
    found: Names = request.param
    return found


@pytest.fixture(params=["constrained", "global"])
def lineage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def read_hierarchy(path: Path) -> dict[str, tuple[str, str]]:
    """The genus and family of each label; the label "-1" is not a name."""
    entries: dict[str, Any] = json.loads(path.read_text())
    return {name: (above[0], above[1]) for name, above in entries.items() if name != "Note"}


def write_hierarchy(hierarchy: dict[str, tuple[str, str]]) -> None:
    """Species under their genera and families; a genus in two families is under the first."""
    families = {name: Taxon(name=name, rank="FAMILY") for _, name in hierarchy.values()}
    Taxon.objects.bulk_create(families.values())
    genera: dict[str, Taxon] = {}
    for genus, family in hierarchy.values():
        genera.setdefault(genus, Taxon(name=genus, rank="GENUS", parent=families[family]))
    Taxon.objects.bulk_create(genera.values())
    Taxon.objects.bulk_create(
        Taxon(name=name, rank="SPECIES", parent=genera[genus])
        for name, (genus, _) in hierarchy.items()
    )


def make_rows(classifier: Algorithm, logits: Vector) -> SourceImageCollection:
    capture = make_capture()
    for row in logits:
        Classification.objects.create(
            detection=Detection.objects.create(source_image=capture),
            algorithm=classifier,
            logits=row.tolist(),
        )
    return make_capture_set([capture])


def generated(labels: int, *, spread: float) -> Vector:
    return np.random.default_rng(5).normal(0, spread, (ROWS, labels))


def test_rolled_up_scores_equal_a_plain_sum(names: Names, lineage: str) -> None:
    hierarchy = read_hierarchy(names.hierarchy)
    assert len(hierarchy) == names.labels
    write_hierarchy(hierarchy)
    logits = generated(len(hierarchy), spread=names.spread)
    capture_set = make_rows(make_classifier(*hierarchy), logits)
    thresholds = names.thresholds
    RankRollupTask(
        source_image_collection_id=capture_set.pk, thresholds=thresholds, lineage=lineage
    ).run()

    # As written: of a genus in two families, the first counts.
    families = dict(reversed(list(hierarchy.values())))
    outcomes = set()
    sources = Classification.objects.filter(logits__isnull=False).order_by("pk")
    for source, row in zip(sources, logits, strict=True):
        shares = plain_softmax(row.tolist())
        sums: dict[str, dict[str, float]] = {rank: defaultdict(float) for rank in thresholds}
        for (genus, _), share in zip(hierarchy.values(), shares, strict=True):
            sums["GENUS"][genus] += share
            sums["FAMILY"][families[genus]] += share
        genus = list(hierarchy.values())[int(np.argmax(row))][0]
        best = {"GENUS": genus, "FAMILY": families[genus]}
        if lineage == "global":
            best = {rank: max(totals, key=totals.__getitem__) for rank, totals in sums.items()}
        reached = [rank for rank in thresholds if sums[rank][best[rank]] >= thresholds[rank]]
        outcomes.add(next(iter(reached), None))
        result = source.derived_classifications.first()
        assert bool(result) == bool(reached)
        if result:
            assert str(result.taxon) == best[reached[0]]
            assert result.score == pytest.approx(sums[reached[0]][best[reached[0]]])
    assert outcomes == {*thresholds, None}


def read_accepted(path: Path) -> dict[str, str]:
    """The accepted name of each name in the checklist, if there is one."""
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["status"] != "NotAvail"]
    matched = {row["search_species"]: row["gbif_species"] for row in rows}
    return {name: name for name in matched.values()} | {
        name: name if taken_for == "NotAvail" else taken_for for name, taken_for in matched.items()
    }


def read_synonyms(path: Path) -> list[str]:
    with path.open() as file:
        return [row["search_species"] for row in csv.DictReader(file) if row["status"] == "SYNONYM"]


def test_classifier_is_masked_by_the_checklist(names: Names) -> None:
    import_taxa(read_name_list(names.checklist).names, list_name="Checklist")
    taxa_list = TaxaList.objects.get()
    taxa_list.taxa.remove(*Taxon.objects.filter(synonym_of__isnull=False))
    accepted, synonyms = read_accepted(names.checklist), read_synonyms(names.checklist)
    assert len(synonyms) == names.synonyms
    labels = list(dict.fromkeys([*read_hierarchy(names.hierarchy), *synonyms]))
    kept = [label in accepted for label in labels]
    off_list = [place for place, stays in enumerate(kept) if not stays]
    logits = generated(len(labels), spread=8)
    logits[range(ROWS), np.resize(off_list, ROWS)] = 99  # of these the classifier is all but sure
    classifier = make_classifier(*labels)
    task = ClassMaskingTask(
        source_image_collection_id=make_rows(classifier, logits).pk,
        taxa_list_id=taxa_list.pk,
        algorithm_id=classifier.pk,
    )
    task.run()

    assert task.counts["labels_unresolved"] == len(off_list) == names.off_list
    assert task.counts["likely_off_list"] == task.counts["classifications_masked"] == ROWS
    results = Classification.objects.filter(terminal=True).order_by("applied_to")
    for result, row in zip(results, logits, strict=True):
        assert [score > 0 for score in result.scores or []] == kept
        best = max((place for place, stays in enumerate(kept) if stays), key=row.__getitem__)
        assert str(result.taxon) == accepted[labels[best]]
