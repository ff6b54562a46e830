from dataclasses import replace
from importlib import import_module
from inspect import signature
from typing import Any

import pytest

from ami.base.registry import UnknownKeyError
from ami.main.checks.declarations import CHECKS, Check, Pair, Severity, Tag, chosen_checks, register

TABLE = {  # as an operator knows them: key → severity, and whether a rule repairs it
    "missing_determination": ("error", True),
    "stale_determination": ("error", True),
    "stale_score": ("warning", True),
    "occurrence_without_detections": ("warning", True),
    "detection_without_occurrence": ("warning", True),
    "invalid_box": ("error", False),
    "box_outside_frame": ("warning", False),
    "capture_without_size": ("warning", False),
    "several_terminal": ("error", True),
    "duplicate_classification": ("warning", True),
    "broken_lineage": ("error", False),
    "vector_length": ("error", False),
    "unresolved_labels": ("warning", False),
    "taxon_loop": ("error", False),
    "split_occurrence": ("error", False),
    "wrong_project": ("error", True),
    "stale_project": ("error", True),
    "without_project": ("warning", False),
    "stale_counts": ("warning", True),
    "box_in_fractions": ("error", False),
    "same_box": ("warning", False),
    "time_outside_night": ("warning", False),
    "orphan_name": ("warning", False),
    "rank_order": ("warning", False),
}
BOX = CHECKS["invalid_box"]


def test_every_check_is_registered() -> None:
    assert {key: (check.severity, bool(check.repair)) for key, check in CHECKS.items()} == TABLE


# The checks of other apps are all in one module.
ELSEWHERE = {
    "unresolved_labels": "ami.ml.integrity_checks",
    "without_project": "ami.jobs.integrity_checks",
}


def module_of(check: Check) -> str:
    return ELSEWHERE.get(check.key, f"ami.main.checks.{check.key}")


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
def test_texts_are_sentences_and_the_module_has_the_key_for_its_name(check: Check) -> None:
    for text in (check.meaning, check.cause, check.repair, check.limits):
        assert not text or ((text[0].isupper() or text[0] == "`") and text.endswith("."))
    assert not check.title.endswith(".")
    for pair in check.pairs:
        assert pair.get.__module__ == module_of(check)
        assert pair.get.__doc__


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
def test_each_table_has_a_public_function_that_repairs_it(check: Check) -> None:
    module = import_module(module_of(check))
    repairing = {
        name: function for name, function in vars(module).items() if name.startswith("reconcile_")
    }
    assert len(repairing) == len(check.pairs)
    for pair, (name, function) in zip(check.pairs, repairing.items(), strict=True):
        assert (function.__name__, function.__module__) == (name, module.__name__)
        finding = list(signature(pair.get).parameters.values())
        *scope, dry_run = signature(function).parameters.values()
        assert scope == finding
        assert (len(finding), dry_run.name, dry_run.default) == (3, "dry_run", True)
        assert list(pair.get(None, None, [])) == []


def test_checks_run_in_the_order_of_their_tags() -> None:
    tags = [Tag.values.index(check.tag) for check in chosen_checks()]
    assert tags == sorted(tags)
    assert len(tags) == len(CHECKS)


def test_keys_and_tags_add_up() -> None:
    chosen = chosen_checks(keys=["taxon_loop", "stale_score"], tags=["counts", "determinations"])
    assert [check.key for check in chosen] == [
        "taxon_loop",
        "missing_determination",
        "stale_determination",
        "stale_score",
        "stale_counts",
    ]


def test_unknown_key_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownKeyError, match=r"Unknown check 'x'\. Registered: box_in_frac"):
        chosen_checks(keys=["x"])


def test_second_check_of_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="Two checks have the key 'invalid_box'"):
        register(replace(BOX))


def test_function_that_cannot_be_cut_to_a_scope_is_refused() -> None:
    def get_everything() -> Any: ...

    with pytest.raises(TypeError, match="get_everything must take project_id, job_id and a"):
        replace(BOX, pairs=(Pair(get_everything),))


def test_repair_that_is_not_explained_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid_box must have a fix and a text on it"):
        replace(BOX, repair="Turns the box.")


def test_errors_rank_above_warnings() -> None:
    assert Severity.ERROR.rank > Severity.WARNING.rank
