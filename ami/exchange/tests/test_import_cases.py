"""Name lists with faults that people have met, in the folder `shared` beside the project."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from ami.base.tests.shared import CASES, third_party_files
from ami.main.models import Taxon
from ami.main.names import read_name
from ami.main.resolver import resolve_names

pytestmark = pytest.mark.django_db

CSV = CASES / "16-csv-from-excel"


def load(path: Path) -> str:
    out = StringIO()
    call_command("import_taxa", str(path), "--list=Regional", stdout=out)
    return out.getvalue()


FILES = [
    *("t04_semicolon.csv", "t07_tab.tsv", "t09_float_key.csv", "t10_empty_key.csv"),
    *("t12_trailing_blank_cols.csv",),
]


table = third_party_files(*(CSV / name for name in FILES))


def test_tables_of_spreadsheets_are_read(table: Path) -> None:
    load(table)

    names = Taxon.objects.filter(rank="SPECIES").values_list("name", flat=True)
    assert set(names) == {"Zzmoth prima", "Zzmoth secunda"}


gbif = third_party_files(CSV / "g1_gbif_specieslist.csv")


def test_gbif_list_is_read(gbif: Path) -> None:
    load(gbif)

    synonym = Taxon.objects.get(name="Zzg una")
    assert synonym.synonym_of == Taxon.objects.get(name="Zzg dua", gbif_taxon_key=2)


heterotypic = third_party_files(CASES / "19-heterotypic-synonym/heterotypic_synonym.csv")


def test_kind_of_synonym_does_not_lose_the_file(heterotypic: Path) -> None:
    load(heterotypic)

    names = Taxon.objects.filter(rank="SPECIES").values_list("name", flat=True)
    assert set(names) == {"Agrotis spinifera", "Mythimna obsoleta"}


spelling = third_party_files(CASES / "04-spelling-variant-splits-taxon/m.csv")


def test_other_spelling_is_found(spelling: Path) -> None:
    load(spelling)

    taxon = Taxon.objects.get(name="Xxm primus")
    assert resolve_names(["Xxm prymus"]).taxa == {"Xxm prymus": taxon.pk}


indet = third_party_files(CASES / "08-indet-as-species/o16b_indet.json")


def test_labels_without_a_species_name_none(indet: Path) -> None:
    records = json.loads(indet.read_text())
    labels = [example["label"] for record in records for example in record["examples"]]
    species = {read_name(label).text for label in labels if read_name(label).rank == "SPECIES"}

    assert species == {"Zzmoth prima", "Zzmoth secunda", "Zzmoth × tertia"}
