import pytest

from ami.base.tests.factories import make_taxon
from ami.ml.post_processing.labels import read_label_taxa
from ami.ml.post_processing.tests.vectors import make_map


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("label", "borne"),
    [
        ({"label": "x", "gbif_key": 7}, {"gbif_taxon_key": 7}),
        ({"label": "x"}, {"search_names": ["x"]}),
    ],
    ids=["key", "search name"],
)
def test_of_synonyms_alone_the_lowest_id_decides(label: object, borne: dict[str, object]) -> None:
    former, latter = make_taxon(), make_taxon()
    make_taxon(synonym_of=latter, **borne)
    make_taxon(synonym_of=former, **borne)

    assert read_label_taxa(make_map(label)).taxa == [latter.pk]  # type: ignore[arg-type]
