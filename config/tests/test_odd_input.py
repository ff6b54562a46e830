"""No page about access, signing in, the audit or a project fails, whatever is sent to it."""

from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from bs4 import BeautifulSoup
from django.db import transaction
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_member, make_project, make_user
from ami.jobs.engine.registry import JOB_TYPES
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.main.access import Role
from ami.main.tests.projects import populate
from ami.review.models import Sample

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime"),
]

ODD = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # a lone surrogate
    "\u202eW\u0301\u0301".encode() * 99,
    b"W" * 5_000,
    b"9" * 5_000,
    b"9223372036854775808",
    b"-1",
    b"1e400",
    b"NaN",
    "\u0663".encode(),  # a digit of another script
    b"[" * 300,
    b'{"a": "\\u0000"}',
    b"2026-13-99",
    b"0001-01-01",
    b"%00",
    b"' OR 1=1 --",
    b"<script>",
    b"//example.org",
    b"../../settings.py",
)
# The pages with forms, by the model of their row, if they are about one.
FORMS = (
    ("main_project_change", "main.project"),
    ("main_project_delete", "main.project"),
    ("main_occurrence_identify", "main.occurrence"),
    ("main_occurrence_recompute", "main.occurrence"),
    ("main_identification_change", "main.identification"),
    ("main_identification_add", ""),
    ("integrity_integrityacknowledgement_change", "integrity.integrityacknowledgement"),
    ("integrity_integrityacknowledgement_add", ""),
    ("integrity_integrityrun_repair", ""),
    ("integrity_integrityrun_schedule", ""),
    ("jobs_job_revert", "jobs.job"),
    ("jobs_job_delete", "jobs.job"),
    ("django_celery_beat_periodictask_add", ""),
    ("users_user_add", ""),
    ("users_user_change", "users.user"),
    ("auth_user_password_change", "users.user"),
    ("password_change", ""),
    ("review", "review.sample"),
)
# Where a page's forms lead, if not to the page itself.
TARGETS = {"review": "{}answer/"}
LISTS = (
    "main_auditnote_changelist",
    "main_auditnote_csv",
    "main_project_changelist",
    "main_project_overviews",
    "users_user_changelist",
    "axes_accessattempt_changelist",
    "axes_accesslog_changelist",
    "django_celery_beat_periodictask_changelist",
    "autocomplete",
)
KEYS = ("q", "p", "o", "all", "e", "next", "project", "user", "kind", "id", "_popup", "_to_field")
KEYS_OF_SUGGESTIONS = ("app_label", "model_name", "field_name", "term", "page")
TRIES = 4
# The parameters of Jobs of each type, of which one is odd in a test.
PARAMETERS: dict[str, dict[str, Any]] = {
    "data_integrity": {"checks": ["stale_counts"], "job": None, "tables": {}},
    "export": {"format": "csv", "options": {}, "collection": None, "event": None}
    | {"occurrences": None},
    "import": {"format": "antenna_json", "project": "Demo", "options": {}},
    "post_processing": {"task": "small_size_filter", "config": {"occurrence_id": 1}},
    "revert": {"job": 1, "occurrences": [1]},
    "shift_clock": {"deployment": 1, "by": "+1:00"},
}
ODD_VALUES: tuple[Any, ...] = ("x", 10**30, [[]])


@pytest.fixture(scope="module")
def rows(module_db: None) -> dict[str, Any]:
    project = make_project()
    return {**populate(project), "users.user": make_member(project, Role.MANAGER)}


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.integrity.admin.runs.data_integrity_check.delay", lambda *a, **k: None)


def send(client: Client, method: str, url: str, **options: Any) -> int:
    """The status of the answer to a request, whose changes are rolled back."""
    with transaction.atomic():
        answer: Any = client.generic(method, url, **options)
        if answer.streaming:
            list(answer.streaming_content)
        transaction.set_rollback(True)
    return int(answer.status_code)


def encoded(fields: dict[str, bytes]) -> str:
    return "&".join(f"{name}={quote_from_bytes(value)}" for name, value in fields.items())


def fields_of(page: str) -> dict[str, bytes]:
    """The fields of the forms of a page, with their values."""
    found: dict[str, bytes] = {}
    for field in BeautifulSoup(page, "html.parser").select("#content [name]"):
        chosen = field.select_one("option[selected]") or field
        found[str(field["name"])] = str(chosen.get("value", field.get_text())).encode()
    return found


def spoilt(fields: dict[str, bytes], random: Random) -> dict[str, bytes]:
    """The fields, some of them with an odd value."""
    names = sorted(fields)
    chosen = random.sample(names, min(len(names), random.choice([1, 2, 5])))
    return fields | {name: random.choice(ODD) for name in chosen}


def post(client: Client, url: str, fields: dict[str, bytes], **options: Any) -> int:
    form = "application/x-www-form-urlencoded"
    return send(client, "POST", url, data=encoded(fields), content_type=form, **options)


def failing(tries: Iterator[tuple[str, Any]]) -> list[str]:
    """What was sent with each try that failed; a try is a text and a function that sends it."""
    failed = []
    for told, attempt in tries:
        try:
            status = attempt()
        except Exception as error:
            status = repr(error)[:200]
        if not isinstance(status, int) or status >= 500:
            failed.append(f"{told[:300]}: {status}")
    return failed


@pytest.mark.usefixtures("no_broker")
@pytest.mark.parametrize("who", ["manager", "superuser"])
@pytest.mark.parametrize(("name", "label"), FORMS, ids=[name for name, _ in FORMS])
def test_forms_answer(
    client: Client, rows: dict[str, Any], who: str, name: str, label: str
) -> None:
    person = rows["users.user"]
    client.force_login(
        make_user(is_staff=True, is_superuser=True) if who == "superuser" else person
    )
    url = reverse(f"admin:{name}", args=[rows[label].pk] if label else [])
    page = client.get(url)
    given = fields_of(page.text) if page.status_code == 200 else {"reason": b"", "post": b"yes"}
    url = TARGETS.get(name, "{}").format(url)
    random = Random(name)

    def tries() -> Iterator[tuple[str, Any]]:
        for _ in range(TRIES):
            fields = spoilt(given, random)
            yield f"{url} {fields}", lambda fields=fields: post(client, url, fields)

    assert not failing(tries())


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("name", LISTS)
def test_lists_answer(client: Client, name: str) -> None:
    client.force_login(make_user(is_staff=True, is_superuser=True))
    url, random = reverse(f"admin:{name}"), Random(name)
    keys = KEYS_OF_SUGGESTIONS if name == "autocomplete" else KEYS

    def tries() -> Iterator[tuple[str, Any]]:
        for _ in range(2 * TRIES):
            query = encoded(spoilt(dict.fromkeys(random.sample(keys, 3), b"1"), random))
            yield query, lambda query=query: send(client, "GET", f"{url}?{query}")

    assert not failing(tries())


def test_addresses_of_rows_answer(client: Client, rows: dict[str, Any]) -> None:
    client.force_login(rows["users.user"])
    parts = (
        "main/project/{}/overview/",
        "main/detection/{}/picture/?w={}",
        "main/sourceimage/{}/picture/",
        "review/{}/?item={}",
        f"review/{Sample.objects.get().pk}/?item={{}}&grid={{}}",
        f"review/{Sample.objects.get().pk}/taxa/?q={{}}",
    )

    def tries() -> Iterator[tuple[str, Any]]:
        for part in parts:
            for odd in ODD:
                url = "/admin/" + part.format(*[quote_from_bytes(odd, safe="")] * 2)
                yield url, lambda url=url: send(client, "GET", url)

    assert not failing(tries())


def test_door_answers(client: Client) -> None:
    random = Random("door")
    form = {"username": b"ada@example.org", "password": b"a long secret", "next": b"/admin/"}

    def tries() -> Iterator[tuple[str, Any]]:
        for odd in ODD:
            fields = spoilt(form, random)
            header = odd.decode("latin-1")
            client.cookies["sessionid"] = quote_from_bytes(odd)
            heads = {"HTTP_X_FORWARDED_FOR": header, "HTTP_USER_AGENT": header}
            yield (
                f"{fields} {heads}",
                lambda fields=fields, heads=heads: post(client, "/admin/login/", fields, **heads),
            )
            yield (
                f"next {odd!r}",
                lambda odd=odd: send(client, "GET", f"/admin/login/?next={quote_from_bytes(odd)}"),
            )
            for kind in ("application/csp-report", "application/reports+json"):
                for body in (odd, b'{"csp-report": %b}' % (odd or b"1"), b"[%b]" % odd):
                    yield (
                        f"{kind} {body!r}",
                        lambda body=body, kind=kind: send(
                            client, "POST", "/csp-report", data=body, content_type=kind
                        ),
                    )
            yield (
                f"metrics {odd!r}",
                lambda header=header: send(
                    client, "GET", "/metrics", HTTP_AUTHORIZATION=f"Bearer {header}"
                ),
            )

    assert not failing(tries())


def test_parameters_of_every_type_of_job_are_tried() -> None:
    assert PARAMETERS.keys() == set(JOB_TYPES)


@pytest.mark.parametrize("key", PARAMETERS)
def test_pages_of_jobs_with_odd_parameters_answer(
    client: Client, rows: dict[str, Any], key: str
) -> None:
    client.force_login(make_user(is_staff=True, is_superuser=True))
    project = rows["main.project"]
    odd = [
        *([], "x", 1, {}, [[]]),
        *(PARAMETERS[key] | {name: value} for name in PARAMETERS[key] for value in ODD_VALUES),
    ]
    jobs = [
        Job.objects.create(
            name=f"A job with {params}"[:200],
            project=project,
            job_type_key=key,
            params=params,
            status=JobState.SUCCESS,
            outcome=Outcome.SUCCEEDED,
        )
        for params in odd
    ]
    urls = [
        f"/admin/jobs/job/?job_type_key={key}",
        f"/admin/main/project/{project.pk}/overview/",
        *(f"/admin/jobs/job/{job.pk}/{page}/" for job in jobs for page in ("change", "run-again")),
    ]

    def tries() -> Iterator[tuple[str, Any]]:
        for url in urls:
            yield url, lambda url=url: send(client, "GET", url)

    assert not failing(tries())
