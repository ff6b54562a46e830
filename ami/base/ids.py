MAX_ID = 2**63 - 1


def parse_id(text: str) -> int | None:
    """The id that `text` writes in digits; None where it is none, or too large for a bigint."""
    if not text.isdecimal() or len(text) > len(str(MAX_ID)):
        return None
    number = int(text)
    return number if number <= MAX_ID else None
