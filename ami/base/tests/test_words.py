from typing import Any

import pytest

from ami.base.words import counted, in_words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 taxa"), (1, "1 taxon"), (2, "2 taxa"), (2_000, "2,000 taxa")]
)
def test_noun_follows_the_number(number: int, words: str) -> None:
    assert counted(number, "taxon", "taxa") == words
    assert counted(number, "row").endswith("rows" if number != 1 else "row")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (0.25, "0.25"),
        (0.123456, "0.1235"),
        (None, "none"),
        (["a", 1], "a, 1"),
        ({"SPECIES": 0.8, "GENUS": 0.6}, "species 0.8, genus 0.6"),
    ],
)
def test_values_are_written_as_people_do(value: Any, words: str) -> None:
    assert in_words(value) == words
