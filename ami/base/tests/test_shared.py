from pathlib import Path

from django.conf import settings

from ami.base.tests.shared import OWN_EXPORT, third_party


def test_parameter_is_skipped_where_a_file_is_absent() -> None:
    absent = settings.ROOT.parent / "shared/data/absent.csv"

    parameter = third_party("value", OWN_EXPORT, absent)

    (mark,) = parameter.marks
    assert (mark.name, mark.kwargs["reason"]) == (
        "skip",
        "../shared/data/absent.csv is absent; put the folder shared beside the project.",
    )


def test_parameter_runs_where_all_files_are_there() -> None:
    parameter = third_party("value", OWN_EXPORT, Path(__file__))

    assert (parameter.values, parameter.id, parameter.marks) == (("value",), "occurrences", ())
