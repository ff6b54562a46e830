"""The normal form of names, and what they stand for."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami.main.models import TaxonRank
from ami.main.names import fold, read_key, read_name, tidy
from ami.main.resolver import start_of

SAME = [
    "Noctua pronuba",
    " Noctua  pronuba ",
    "Noctua_pronuba",
    "Noctua\xa0pronuba",
    "Noctua\tpronuba\r\n",
    "Noc\u00adtua pro\u200bnuba",
    "noctua pronuba",
    "NOCTUA PRONUBA",
    "Noctua Pronuba",
    "Noctua pronuba (Linnaeus, 1758)",
    "Noctua pronuba Linnaeus, 1758",
    "NOCTUA PRONUBA (LINNAEUS, 1758)",
    "Noctua pronuba L.",
    "Noctua pronuba ([Denis & Schiffermüller], 1775)",
    "Noctua pronuba de Geer, 1773",
    "Noctua (Euschesis) pronuba",
]


@pytest.mark.parametrize("written", SAME)
def test_name_is_the_same_however_it_is_written(written: str) -> None:
    assert read_name(written).key == "noctua pronuba"


@pytest.mark.parametrize(
    ("written", "text", "rank"),
    [
        ("Noctua pronuba", "Noctua pronuba", "SPECIES"),
        ("NOCTUA PRONUBA", "Noctua pronuba", "SPECIES"),
        ("Xestia c-nigrum", "Xestia c-nigrum", "SPECIES"),
        ("Noctua x tertia", "Noctua × tertia", "SPECIES"),
        ("Noctua pronuba hoegei", "Noctua pronuba hoegei", "SUBSPECIES"),
        ("Noctua pronuba ssp. hoegei Foo, 1900", "Noctua pronuba hoegei", "SUBSPECIES"),
        ("Noctua pronuba var. rufa", "Noctua pronuba var. rufa", "VARIETY"),
        ("Noctua pronuba f. rufa", "Noctua pronuba f. rufa", "FORM"),
        ("Noctuidae", "Noctuidae", "FAMILY"),
        ("Noctuinae", "Noctuinae", "SUBFAMILY"),
        ("Noctuoidea", "Noctuoidea", "SUPERFAMILY"),
        ("Noctua Linnaeus, 1758", "Noctua", "UNKNOWN"),
        ("Lepidoptera", "Lepidoptera", "UNKNOWN"),
        ("Luna moth", "Luna moth", "UNKNOWN"),
        ("Large yellow underwing", "Large yellow underwing", "UNKNOWN"),
        ("Station A 2019", "Station A 2019", "UNKNOWN"),
        ("×", "×", "UNKNOWN"),
    ],
)
def test_form_of_a_name_shows_its_rank(written: str, text: str, rank: str) -> None:
    name = read_name(written)

    assert (name.text, name.rank, name.doubt) == (text, rank, "")


@pytest.mark.parametrize(
    ("written", "text", "rank", "doubt"),
    [
        ("Noctua sp", "Noctua", "GENUS", "sp"),
        ("Noctua sp. A", "Noctua", "GENUS", "sp"),
        ("Noctua sp2", "Noctua", "GENUS", "sp"),
        ("noctua spp.", "Noctua", "GENUS", "spp"),
        ("Noctua indet", "Noctua", "GENUS", "indet"),
        ("Noctua cf. pronuba", "Noctua", "GENUS", "cf"),
        ("Noctua aff. pronuba", "Noctua", "GENUS", "aff"),
        ("Noctua pronuba?", "Noctua", "GENUS", "?"),
        ("Noctuidae sp.", "Noctuidae", "FAMILY", "sp"),
        ("Noctuidae unidentified", "Noctuidae", "FAMILY", "unidentified"),
        ("Noctua pronuba/comes", "Noctua pronuba/comes", "UNKNOWN", "/"),
        ("Noctua pronuba agg.", "Noctua pronuba agg.", "UNKNOWN", "agg"),
        ("Noctua pronuba × comes", "Noctua pronuba × comes", "UNKNOWN", "×"),
        ("Unknown moth", "Unknown moth", "UNKNOWN", "unknown"),
        ("Unidentified Noctuidae", "Unidentified Noctuidae", "UNKNOWN", "unidentified"),
        ("Not moth", "Not moth", "UNKNOWN", "not"),
        ("Moth other", "Moth other", "UNKNOWN", "other"),
        ("moth sp", "moth sp", "UNKNOWN", "sp"),
        ("Blank frame", "Blank frame", "UNKNOWN", "blank"),
        ("nan", "nan", "UNKNOWN", "nan"),
        ("None", "None", "UNKNOWN", "none"),
        ("N/A", "N/A", "UNKNOWN", "n/a"),
        ("", "", "UNKNOWN", "blank"),
        ("not-identifiable", "Not identifiable", "UNKNOWN", "not"),
        ("NOT IDENTIFIABLE", "Not identifiable", "UNKNOWN", "not"),
    ],
)
def test_words_of_doubt_never_name_a_species(
    written: str, text: str, rank: str, doubt: str
) -> None:
    name = read_name(written)

    assert (name.text, name.rank, name.doubt) == (text, rank, doubt)


def test_name_tells_what_it_lies_under() -> None:
    assert read_name("Noctua pronuba var. rufa").above == (
        ("Noctua pronuba", TaxonRank.SPECIES),
        ("Noctua", TaxonRank.GENUS),
    )
    assert read_name("Noctua × tertia").above == (("Noctua", TaxonRank.GENUS),)
    assert read_name("Noctua pronuba agg.").above == (("Noctua", TaxonRank.GENUS),)
    assert read_name("Noctuidae").above == ()


def test_author_is_split_off() -> None:
    assert read_name("Noctua pronuba (Linnaeus, 1758)").author == "(Linnaeus, 1758)"


def test_end_that_may_be_an_author_stays_in_the_name() -> None:
    name = read_name("Large yellow Lady")

    assert (name.text, name.author, name.otherwise) == (
        "Large yellow Lady",
        "",
        "large yellow",
    )


@pytest.mark.parametrize(
    ("written", "key"),
    [(7, 7), ("7", 7), ("7.0", 7), (7.0, 7), (" 7 ", 7), ("", None), ("-1", None), (None, None)],
)
def test_key_is_read_however_a_spreadsheet_writes_it(written: object, key: int | None) -> None:
    assert read_key(written) == key


WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            *("Noctua", "pronuba", "PRONUBA", "x", "X", "×", "sp.", "cf.", "(Linnaeus,", "1758)"),
            *("L.", "var.", "agg.", "unknown", "de", "&", "_", "\xa0", "e\u0301", "\u200b", "?"),
        ]
    ),
)
NAMES = st.lists(WORDS, max_size=6).map(" ".join) | st.text(max_size=20)


@given(NAMES)
def test_tidy_text_stays_as_it_is(written: str) -> None:
    text = tidy(written)

    assert tidy(text) == text
    assert unicodedata.is_normalized("NFC", text)
    assert text == " ".join(text.split())
    assert "_" not in text


@given(NAMES)
def test_what_a_name_stands_for_stands_for_itself(written: str) -> None:
    name = read_name(written)

    assert read_name(name.text).key == name.key
    assert read_name(tidy(written)) == name


@given(NAMES)
def test_blanks_and_the_form_of_unicode_make_no_difference(written: str) -> None:
    same = read_name("_\t" + unicodedata.normalize("NFD", written).replace(" ", "\xa0 ") + "\n")

    assert same == read_name(written)


@given(NAMES)
def test_case_makes_no_difference_to_the_key(written: str) -> None:
    assert fold(tidy(written.upper())) == fold(tidy(written.upper()).upper())
    name = read_name(written)
    if name.rank == TaxonRank.SPECIES:
        assert read_name(name.text.upper()).key == name.key
        assert read_name(name.text.lower()).key == name.key


@given(NAMES)
def test_word_of_doubt_is_never_a_species(written: str) -> None:
    name = read_name(written)

    if name.doubt:
        assert name.rank in {
            TaxonRank.UNKNOWN,
            TaxonRank.GENUS,
            TaxonRank.FAMILY,
            TaxonRank.SUBFAMILY,
            TaxonRank.SUPERFAMILY,
        }


@given(NAMES)
def test_taxon_of_a_name_begins_with_the_same_letters(written: str) -> None:
    name = read_name(written)

    assert start_of(name.text) == start_of(name.written)
