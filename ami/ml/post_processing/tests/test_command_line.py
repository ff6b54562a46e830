"""`manage.py run_post_processing` for scripts and people: exit codes, streams, JSON."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from ami.base.tests.commands import Ended, conforms, run_command
from ami.base.tests.factories import make_member, make_occurrence, make_project
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import forget, make_job
from ami.main.access import Role
from ami.main.models import Occurrence
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS, register
from ami.ml.post_processing.scopes import ScopedConfig

pytestmark = pytest.mark.django_db
Shell = Callable[..., Ended]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    def run(*arguments: Any) -> Ended:
        return run_command(
            "ami.ml.post_processing", "run_post_processing", *arguments, capsys=capsys
        )

    return run


class PickyConfig(ScopedConfig):
    occurrence_id: int | None = None
    names: list[str] = ["a"]
    weights: dict[str, float] = {}
    label: str = "none"


@pytest.fixture
def picky() -> Iterator[None]:
    """A method with options of every type and its own `run`."""

    @register
    class Picky(BasePostProcessingTask):
        key = "picky"
        name = "Picky"
        config_schema: ClassVar[type[BaseModel]] = PickyConfig

        def run(self) -> None:
            raise NotImplementedError

    yield
    forget(POSTPROCESSING_TASKS, Picky.key)


FILES: dict[str, bytes] = {
    "broken.json": b'{"size_threshold": b',
    "list.json": b"[1]",
    "number.json": b"7",
    "empty.json": b"",
    "deep.json": b"[" * 100_000,
    "unknown.json": b'{"depth": 1}',
    "scope.json": b'{"occurrence_id": 1}',
    "nan.json": b'{"size_threshold": NaN}',
    "latin.json": b"\xff\xfe{",
    "twice.json": b'{"size_threshold": 0.1, "size_threshold": 0.2}',
}
BAD: list[list[str]] = [
    [],
    ["nope"],
    [""],
    ["small_size_filter"],
    ["small_size_filter", "extra", "--occurrence", "1"],
    ["small_size_filter", "--collection", "1", "--occurrence", "1"],
    *(
        ["small_size_filter", flag, value]
        for flag in ("--collection", "--occurrence")
        for value in ("0", "-1", str(2**70), "9" * 5000, "x", "", "1.5", "\n", "nul\x00")
    ),
    ["small_size_filter", "--collection"],
    ["small_size_filter", "--event", "1"],
    ["small_size_filter", "--frobnicate"],
    ["--list", "nope"],
]
BAD_OPTIONS: list[list[str]] = [
    *(
        ["--set", f"size_threshold={value}"]
        for value in ("7", "-1", "text", "", "null", "[]", "{}", "NaN", "Infinity", "1e999", "true")
    ),
    ["--set", "size_threshold=" + "[" * 100_000],
    ["--set", "size_threshold"],
    ["--set", "=1"],
    ["--set", ""],
    ["--set", "depth=1"],
    ["--set", "occurrence_id=1"],
    ["--set", "source_image_collection_id=1"],
    ["--set"],
    ["--config", "missing.json"],
    ["--config", "."],
    ["--config", "nul\x00"],
    ["--config"],
    *(["--config", name] for name in FILES),
    ["--dry-run=yes"],
    ["--wait=no"],
    *(["--timeout", value] for value in ("-1", "x", "", "1e3", "9" * 5000, "NaN")),
    ["--timeout"],
    ["--format", "xml"],
    ["--verbosity", "9"],
]


@pytest.mark.parametrize("as_json", [False, True])
def test_bad_usage_is_one_sentence_on_stderr(
    as_json: bool, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    occurrence = ["small_size_filter", "--occurrence", str(make_occurrence().pk)]
    for arguments in [*BAD, *([*occurrence, *options] for options in BAD_OPTIONS)]:
        tried = str(arguments)[:200]
        ended = shell(*(["--format", "json"] if as_json else []), *arguments)
        assert ended.code == 2, (tried, ended)
        assert ended.err.count("\n") == 1, tried
        assert len(ended.err) < 500, tried
        assert ended.err.strip().endswith("."), tried
        assert "Traceback" not in ended.err, tried
        assert not Job.objects.exists(), tried
        if as_json:
            assert conforms(ended.json, schema="run_post_processing"), tried
            assert ended.json["error"] == ended.err.strip(), tried


def test_method_with_its_own_run_cannot_be_tried(shell: Shell, picky: None) -> None:
    ended = shell("picky", "--occurrence", make_occurrence().pk, "--dry-run")
    assert (ended.code, ended.err) == (2, "Picky does not support dry runs.\n")
    assert not Job.objects.exists()


def test_a_key_that_stands_twice_is_named(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "twice.json"
    file.write_bytes(FILES["twice.json"])
    ended = shell("small_size_filter", "--occurrence", make_occurrence().pk, "--config", file)
    assert "The key 'size_threshold' occurs more than once; keep one." in ended.err


def test_a_file_may_begin_with_a_byte_order_mark(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    file.write_text('{"size_threshold": 0.25}', encoding="utf-8-sig")
    target = ("--occurrence", make_occurrence().pk)
    ended = shell("small_size_filter", *target, "--no-wait", "--config", file)
    assert ended.code == 0, ended.err
    assert Job.objects.get().params["config"]["size_threshold"] == 0.25


@pytest.mark.parametrize("method", ["class_masking", "rank_rollup"])
def test_rows_that_do_not_exist_are_refused_before_a_job_is_made(shell: Shell, method: str) -> None:
    options = ["--set", "algorithm_id=987654"]
    if method == "class_masking":
        options += ["--set", "taxa_list_id=987655"]
    ended = shell(method, "--occurrence", make_occurrence().pk, "--no-wait", *options)
    assert ended.code == 2
    assert "There is no algorithm 987654: choose another algorithm." in ended.err
    assert ("There is no taxa list 987655" in ended.err) == (method == "class_masking")
    assert not Job.objects.exists()


def test_options_may_be_lists_and_mappings(shell: Shell, picky: None) -> None:
    pairs = ('names=["b","c"]', 'weights={"b": 2}', "label=1.50")
    options = [part for pair in pairs for part in ("--set", pair)]
    ended = shell("picky", "--occurrence", make_occurrence().pk, "--no-wait", *options)
    assert ended.code == 0, ended.err
    config = Job.objects.get().params["config"]
    assert (config["names"], config["weights"], config["label"]) == (["b", "c"], {"b": 2}, "1.50")


def test_queued_job_is_told_as_json(shell: Shell) -> None:
    target = ("--occurrence", make_occurrence().pk)
    ended = shell("small_size_filter", *target, "--no-wait", "--dry-run", "--format", "json")
    assert ended.code == 0
    assert conforms(ended.json, schema="run_post_processing")
    assert ended.json["status"] == JobState.PENDING
    assert Job.objects.get(pk=ended.json["job"]).dry_run


@pytest.mark.parametrize(
    ("status", "outcome", "code"),
    [
        (JobState.SUCCESS, Outcome.SUCCEEDED, 0),
        (JobState.SUCCESS, Outcome.PROBLEMS, 1),
        (JobState.FAILURE, Outcome.FAILED, 1),
        (JobState.FAILURE, Outcome.CRASHED, 1),
        (JobState.REVOKED, Outcome.CANCELED, 1),
    ],
)
def test_exit_code_tells_the_outcome(
    status: JobState, outcome: Outcome, code: int, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(status=status, outcome=outcome, error="" if code == 0 else "Why.")
    monkeypatch.setattr(
        "ami.ml.post_processing.management.commands.run_post_processing.launch",
        lambda *args, **kwargs: [job],
    )
    occurrence = make_occurrence().pk
    ended = shell("small_size_filter", "--occurrence", occurrence, "--format", "json")
    assert ended.code == code
    assert conforms(ended.json, schema="run_post_processing")
    assert ended.json["outcome"] == outcome


def test_methods_are_listed_with_their_options(shell: Shell, picky: None) -> None:
    text = shell("--list")
    assert (text.code, text.err) == (0, "")
    assert "picky (--occurrence ID)" in text.out
    assert '--set names=…  [["a"]]' in text.out
    assert "small_size_filter" not in shell("--list", "picky").out
    methods = shell("--list", "--format", "json")
    assert conforms(methods.json, schema="run_post_processing_list")
    by_key = {method["method"]: method for method in methods.json["methods"]}
    assert set(by_key) == set(POSTPROCESSING_TASKS)
    assert (by_key["picky"]["dry_run"], by_key["small_size_filter"]["dry_run"]) == (False, True)


class TestAsSomeone:
    def run(self, shell: Shell, occurrence: Occurrence, email: str) -> Ended:
        scope = ("--occurrence", occurrence.pk)
        return shell("small_size_filter", *scope, "--no-wait", "--as", email)

    def test_operator_is_recorded(self, shell: Shell) -> None:
        occurrence = make_occurrence()
        assert occurrence.project is not None
        user = make_member(occurrence.project, Role.OPERATOR)
        assert self.run(shell, occurrence, user.email).code == 0
        assert Job.objects.get().user == user

    def test_viewer_is_refused(self, shell: Shell) -> None:
        occurrence = make_occurrence()
        assert occurrence.project is not None
        ended = self.run(shell, occurrence, make_member(occurrence.project).email)
        assert ended.code == 2
        assert "may not run Small size filter in" in ended.err

    def test_foreign_row_does_not_exist(self, shell: Shell) -> None:
        occurrence = make_occurrence()
        ended = self.run(shell, occurrence, make_member(make_project(), Role.MANAGER).email)
        assert ended.code == 2
        assert f"There is no occurrence {occurrence.pk}." in ended.err

    def test_unknown_user_is_refused(self, shell: Shell) -> None:
        ended = self.run(shell, make_occurrence(), "nobody@example.org")
        assert ended.code == 2
        assert "There is no active user 'nobody@example.org'." in ended.err
        assert not Job.objects.exists()
