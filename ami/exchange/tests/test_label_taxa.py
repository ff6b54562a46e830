"""The taxa of the labels of a file."""

import pytest

from ami.base.tests.factories import make_taxon
from ami.exchange.label_taxa import take_labels
from ami.exchange.plan import ImportPlan, Outcome
from ami.main.models import Taxon, TaxonRank

pytestmark = pytest.mark.django_db


def take(*labels: str) -> tuple[dict[str, Taxon], ImportPlan]:
    plan = ImportPlan()
    found = take_labels({label: f"[{place}]" for place, label in enumerate(labels)}, plan)
    return {label: Taxon.objects.get(pk=pk) for label, pk in found.items()}, plan


def test_labels_of_one_name_share_one_taxon() -> None:
    labels = ["noctua pronuba", "Noctua_pronuba", "NOCTUA PRONUBA", "Noctua pronuba L."]

    taxa, plan = take(*labels)

    taxon = Taxon.objects.get()
    assert set(taxa.values()) == {taxon}
    assert (taxon.name, taxon.rank) == ("Noctua pronuba", "SPECIES")
    assert plan.counts[Outcome.CREATED][Taxon] == 1
    assert take(*labels)[1].counts[Outcome.CREATED][Taxon] == 0


def test_labels_are_resolved_like_all_names() -> None:
    accepted = make_taxon(name="Noctua pronuba", search_names=["Large yellow underwing"])
    make_taxon(name="Noctua innuba", synonym_of=accepted)

    taxa, _ = take("Noctua innuba", "noctua_pronuba", "Large yellow underwing")

    assert set(taxa.values()) == {accepted}


def test_label_that_names_no_species_never_becomes_one() -> None:
    labels = ["Noctua sp.", "Noctua cf. comes", "Unknown moth", "nan", "not-identifiable"]

    taxa, plan = take(*labels)

    assert {label: (row.name, row.rank) for label, row in taxa.items()} == {
        "Noctua sp.": ("Noctua", "GENUS"),
        "Noctua cf. comes": ("Noctua", "GENUS"),
        "Unknown moth": ("Unknown moth", "UNKNOWN"),
        "nan": ("nan", "UNKNOWN"),
        "not-identifiable": ("Not identifiable", "UNKNOWN"),
    }
    assert not taxa["not-identifiable"].identifiable
    assert [str(entry) for entry in plan.told()] == [
        "[0]: 'Noctua sp.' names no species, only 'Noctua', because of 'sp'.",
        "[2]: 'Unknown moth' names no species, because of 'unknown'.",
        "[3]: 'nan' names no species, because of 'nan'.",
        "[4]: 'not-identifiable' names no species, only 'Not identifiable', because of 'not'.",
        "[1]: 'Noctua cf. comes' names no species, only 'Noctua', because of 'cf'.",
    ]
    assert any("'nan' names no species" in line for line in plan.lines())


def test_new_taxon_is_under_what_its_name_contains() -> None:
    genus = make_taxon(name="Noctua", rank=TaxonRank.GENUS)

    taxa, _ = take("Noctua pronuba hoegei", "Noctua pronuba", "Noctua × tertia", "Agrotis segetum")

    assert taxa["Noctua pronuba"].parent == genus
    assert taxa["Noctua × tertia"].parent == genus
    assert taxa["Noctua pronuba hoegei"].parent == taxa["Noctua pronuba"]
    assert taxa["Noctua pronuba hoegei"].rank == "SUBSPECIES"
    assert taxa["Agrotis segetum"].parent is None
