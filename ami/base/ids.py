from collections.abc import Iterable

MAX_ID = 2**63 - 1


def parse_id(text: str) -> int | None:
    """The id that `text` writes in digits; None where it is none, or too large for a bigint."""
    if not text.isdecimal() or len(text) > len(str(MAX_ID)):
        return None
    number = int(text)
    return number if number <= MAX_ID else None


def parse_ids(texts: Iterable[str], *, noun: str) -> set[int]:
    """The ids that `texts` write. Raises ValueError with a sentence for the first that is none."""
    ids = set()
    for text in texts:
        pk = parse_id(text)
        if pk is None:
            raise ValueError(f"{text[:50]!r} is not the id of one of the {noun}.")
        ids.add(pk)
    return ids
