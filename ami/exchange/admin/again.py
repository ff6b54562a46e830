"""What the pages have in common that start exports and shifts of clocks again."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse

from ami.base.admin import page_context
from ami.jobs.admin.pages import page_url
from ami.jobs.models import Job


def again_context(request: HttpRequest, job: Job, *, site: AdminSite, title: str) -> dict[str, Any]:
    """The context of a page whose form is submitted to the address that runs `job` again."""
    return {
        **page_context(site.get_model_admin(Job), request, title=title),
        "again": job.pk,
        "form_url": reverse(f"{site.name}:jobs_job_run_again", args=[job.pk]),
        "cancel_url": page_url(job),
    }
