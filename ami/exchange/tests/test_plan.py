import json

from ami.exchange.plan import Change, ImportPlan, Outcome
from ami.main.models import Detection, Taxon


def make_plan() -> ImportPlan:
    plan = ImportPlan()
    plan.add(Outcome.CREATED, Taxon, "Actias luna", "line 2")
    changes = [Change("rank", "UNKNOWN", "SPECIES"), Change("search names", [], ["Luna"])]
    plan.add(Outcome.CHANGED, Taxon, "Actias selene", "line 3", changes=changes)
    plan.add(Outcome.SKIPPED, Taxon, "Moth sp.", "line 4", reason="stands for no species.")
    plan.count(Outcome.UNCHANGED, Detection, 2000)
    return plan


def test_text_names_what_changes_with_its_place() -> None:
    assert list(make_plan().lines()) == [
        "Created: 1 taxon.",
        "Changed: 1 taxon.",
        "  line 3: 'Actias selene': rank: 'UNKNOWN' → 'SPECIES'; search names: none → 'Luna'",
        "Unchanged: 2,000 detections.",
        "Skipped: 1 taxon.",
        "  line 4: 'Moth sp.' stands for no species.",
    ]


def test_json_has_counts_and_entries() -> None:
    plan = json.loads(json.dumps(make_plan().as_json()))

    assert plan["counts"]["created"] == {"taxon": 1}
    assert plan["counts"]["unchanged"] == {"detection": 2000}
    assert plan["counts"]["contradiction"] == {}
    assert plan["entries"][1] == {
        "outcome": "changed",
        "model": "taxon",
        "name": "Actias selene",
        "place": "line 3",
        "changes": [
            {"field": "rank", "old": "UNKNOWN", "new": "SPECIES"},
            {"field": "search names", "old": [], "new": ["Luna"]},
        ],
    }
    assert plan["left_out"] == 2000


def test_rows_are_counted_beyond_the_entries_that_are_kept() -> None:
    plan = ImportPlan(kept=2)
    for number in range(5):
        plan.add(Outcome.SKIPPED, Taxon, f"Name {number}", f"line {number}", reason="is blank.")

    assert plan.total(Outcome.SKIPPED) == 5
    assert len(plan.as_json()["entries"]) == 2
    assert list(plan.lines())[-1] == "  … and 3 more."
    assert list(plan.lines(most=1))[-1] == "  … and 4 more."


def test_plan_agrees_only_if_all_rows_are_unchanged() -> None:
    plan = ImportPlan()
    assert plan.agrees
    plan.count(Outcome.UNCHANGED, Taxon)
    assert plan.agrees
    plan.add(Outcome.DIFFERS, Taxon, "Actias luna", "line 2", changes=[Change("key", 1, 2)])
    assert not plan.agrees
    assert not plan.writes
    plan.count(Outcome.CREATED, Taxon)
    assert plan.writes
