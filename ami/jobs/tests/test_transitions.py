"""One module writes the states of Jobs and parts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

STATES = {"status", "state"}
WRITERS = {"create", "get_or_create", "save_as_holder", "setattr", "update", "update_or_create"}
ENUMS = ("JobState.", "PartState.")
ALLOWED = {
    "ami/jobs/transitions.py",
    "ami/main/management/scale.py",  # makes rows
    "ami/exchange/taxa_plan.py",  # writes the taxonomic status of names
}


def writes(source: str) -> Iterator[str]:
    """The statements of `source` that write the state of a Job or part."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="stage")):
                continue
            case ast.Attribute(attr=name, ctx=ast.Store()) if name in STATES:
                yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), keywords=keywords):
                given = {keyword.arg for keyword in keywords}
                if name in {*WRITERS, "Job", "JobPart"} and STATES & given:
                    yield ast.unparse(node)
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    text = ast.unparse(value)
                    if isinstance(key, ast.Constant) and text.startswith(ENUMS):
                        yield text


@pytest.mark.parametrize("folder", ["ami", "config", "benchmarks"])
def test_states_are_written_in_one_module(folder: str) -> None:
    root: Path = settings.ROOT
    found = {
        name: statements
        for path in (root / folder).rglob("*.py")
        if not {"migrations", "tests"} & set(path.parts)
        and (name := str(path.relative_to(root))) not in ALLOWED
        and (statements := list(writes(path.read_text())))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "job.status = JobState.SUCCESS",
        "part.state, part.cursor = PartState.DONE, 1",
        "Job.objects.filter(pk=1).update(progress=None, status=JobState.SUCCESS)",
        "part.save_as_holder(state=PartState.DONE)",
        "JobPart(job=job, state=PartState.DONE)",
        'rows.update(**{"status": JobState.SUCCESS})',
    ],
)
def test_write_is_found(source: str) -> None:
    assert list(writes(source))


def test_stage_and_filters_are_not_taken_for_writes() -> None:
    assert not list(writes("stage.status = x; Job.objects.filter(status=JobState.SUCCESS)"))
