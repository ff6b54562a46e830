"""Users and parts for tests of the Job pages."""

from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client

from ami.base.tests.factories import make_member, make_user
from ami.jobs.models import Job, JobPart
from ami.jobs.states import PartState
from ami.main.access import Role
from ami.main.models import Project

LIST = "/admin/jobs/job/"
CHANGES = "/admin/jobs/jobchange/"


def sign_in(
    client: Client, *permissions: str, project: Project | None = None, role: Role = Role.VIEWER
) -> Client:
    """Sign in a person with these model permissions and, if `project` is given, this role."""
    user = make_member(project, role) if project else make_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def page_of(job: Job, part: str = "change/") -> str:
    return f"{LIST}{job.pk}/{part}"


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def make_parts(job: Job, *states: PartState, **fields: Any) -> None:
    """Create a part of 100 rows for each of `states`; all rows of done parts are done."""
    JobPart.objects.bulk_create(
        JobPart(
            job=job,
            number=number,
            state=state,
            **{
                "rows_total": 100,
                "rows_done": 100 if state == PartState.DONE else 0,
                "batches": [[100, None]],
                **fields,
            },
        )
        for number, state in enumerate(states, start=1)
    )
