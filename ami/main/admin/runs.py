"""What a run was, in a few words: its method, and its options as people write them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString
from pydantic.fields import ModelField

from ami.base.access import visible_rows_of
from ami.base.ids import parse_id
from ami.base.links import change_link
from ami.base.words import in_words
from ami.jobs.models import Job
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import label_of, model_of, options_of
from ami.ml.post_processing.service import JOB_TYPE


class Run(NamedTuple):
    """The method that a Job ran, None if it is not known here, and its options.

    Switches that are as they are by default are left out.
    """

    name: str | None
    options: list[tuple[str, SafeString]]
    keys: frozenset[str]  # the names of these options in the code

    @property
    def rows(self) -> SafeString:
        """The options that name rows, such as “with taxa list X”; they tell most."""
        links = [(label.lower(), value) for label, value in self.options if value.startswith("<a")]
        return format_html_join(" and ", "{} {}", links)


UNKNOWN = Run(None, [], frozenset())


def describe_runs(jobs: Iterable[Job], *, user: Any) -> dict[int, Run]:
    """Describe the Jobs that ran a method, by id, with one query per model that options name.

    Rows that the person may not see have no name. Names are links for staff, who can follow them.
    """
    known = {job.pk: job for job in jobs if _config(job)}
    names = _names(known.values(), user=user)
    return {pk: _describe(job, names, linked=user.is_staff) for pk, job in known.items()}


def _config(job: Job) -> dict[str, Any]:
    """Return the options of a run of a known method, else none."""
    if job.job_type_key != JOB_TYPE:
        return {}
    key, config = job.parameters.get("task"), job.parameters.get("config")
    is_known = isinstance(key, str) and key in POSTPROCESSING_TASKS
    return config if is_known and isinstance(config, dict) else {}


def _given(job: Job) -> Iterator[tuple[ModelField, Any]]:
    for option in options_of(POSTPROCESSING_TASKS[job.params["task"]].config_schema):
        if _config(job).get(option.name) is not None:
            yield option, _config(job)[option.name]


def _names(jobs: Iterable[Job], *, user: Any) -> dict[tuple[Any, int], str]:
    asked: dict[Any, set[int]] = defaultdict(set)
    for job in jobs:
        for option, value in _given(job):
            if (model := model_of(option)) and (pk := parse_id(str(value))):
                asked[model].add(pk)
    return {
        (model, row.pk): str(row)
        for model, ids in asked.items()
        for row in visible_rows_of(model, user).filter(pk__in=ids)
    }


def _describe(job: Job, names: dict[tuple[Any, int], str], *, linked: bool) -> Run:
    options = []
    for option, value in _given(job):
        if isinstance(value, bool) and value == option.default:
            continue
        model, pk = model_of(option), parse_id(str(value))
        if model and pk and (name := names.get((model, pk))):
            shown = SafeString(change_link(model, pk, name)) if linked else conditional_escape(name)
        else:
            shown = format_html("{}", in_words(value))
        options.append((label_of(option), shown))
    keys = frozenset(option.name for option, _ in _given(job))
    return Run(POSTPROCESSING_TASKS[job.params["task"]].name, options, keys)
