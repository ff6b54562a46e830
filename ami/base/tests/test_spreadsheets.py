from ami.base.spreadsheets import csv_lines


def test_texts_in_lines_are_protected_and_numbers_are_not() -> None:
    rows = [("name", "x"), ('=HYPERLINK("x")', -1.5), ("+Moth", None), ("Noctua, pronuba", True)]
    assert csv_lines(rows).splitlines() == [
        "name,x",
        '"\'=HYPERLINK(""x"")",-1.5',
        "'+Moth,",
        '"Noctua, pronuba",True',
    ]
