"""Name lists with faults that people have met, in the folder `shared` beside the project."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from ami.base.tests.shared import third_party
from ami.main.models import Taxon
from ami.main.names import read_name
from ami.main.resolver import resolve_names

pytestmark = pytest.mark.django_db

CASES: Path = settings.ROOT.parent / "shared/cases"
CSV = CASES / "16-csv-from-excel"


def load(path: Path) -> str:
    out = StringIO()
    call_command("import_taxa", str(path), "--list=Regional", stdout=out)
    return out.getvalue()


FILES = [
    *("t04_semicolon.csv", "t07_tab.tsv", "t09_float_key.csv", "t10_empty_key.csv"),
    *("t12_trailing_blank_cols.csv",),
]


@pytest.fixture(params=[third_party(CSV / name, CSV / name) for name in FILES])
def table(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_tables_of_spreadsheets_are_read(table: Path) -> None:
    load(table)

    names = Taxon.objects.filter(rank="SPECIES").values_list("name", flat=True)
    assert set(names) == {"Zzmoth prima", "Zzmoth secunda"}


GBIF = CSV / "g1_gbif_specieslist.csv"


@pytest.fixture(params=[third_party(GBIF, GBIF)])
def gbif(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_gbif_list_is_read(gbif: Path) -> None:
    load(gbif)

    synonym = Taxon.objects.get(name="Zzg una")
    assert synonym.synonym_of == Taxon.objects.get(name="Zzg dua", gbif_taxon_key=2)


HETEROTYPIC = CASES / "19-heterotypic-synonym/heterotypic_synonym.csv"


@pytest.fixture(params=[third_party(HETEROTYPIC, HETEROTYPIC)])
def heterotypic(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_kind_of_synonym_does_not_lose_the_file(heterotypic: Path) -> None:
    load(heterotypic)

    names = Taxon.objects.filter(rank="SPECIES").values_list("name", flat=True)
    assert set(names) == {"Agrotis spinifera", "Mythimna obsoleta"}


SPELLING = CASES / "04-spelling-variant-splits-taxon/m.csv"


@pytest.fixture(params=[third_party(SPELLING, SPELLING)])
def spelling(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_other_spelling_is_found(spelling: Path) -> None:
    load(spelling)

    taxon = Taxon.objects.get(name="Xxm primus")
    assert resolve_names(["Xxm prymus"]).taxa == {"Xxm prymus": taxon.pk}


INDET = CASES / "08-indet-as-species/o16b_indet.json"


@pytest.fixture(params=[third_party(INDET, INDET)])
def labels(request: pytest.FixtureRequest) -> list[str]:
    records = json.loads(request.param.read_text())
    return [example["label"] for record in records for example in record["examples"]]


def test_labels_without_a_species_name_none(labels: list[str]) -> None:
    species = {read_name(label).text for label in labels if read_name(label).rank == "SPECIES"}

    assert species == {"Zzmoth prima", "Zzmoth secunda", "Zzmoth × tertia"}
