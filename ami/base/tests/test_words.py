import pytest

from ami.base.words import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 taxa"), (1, "1 taxon"), (2, "2 taxa"), (2_000, "2,000 taxa")]
)
def test_noun_follows_the_number(number: int, words: str) -> None:
    assert counted(number, "taxon", "taxa") == words
    assert counted(number, "row").endswith("rows" if number != 1 else "row")
