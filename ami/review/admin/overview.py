"""What the page of a project shows of its samples, with links to their review."""

from typing import Any

from django.db.models import Exists, OuterRef
from django.http import HttpRequest

from ami.base.sections import Section
from ami.base.subqueries import count_subquery
from ami.main.admin.overview import SECTIONS
from ami.main.models import Project
from ami.review.models import REVIEW, Judgement, Sample, SampleItem

SAMPLES = 20


def samples_of(request: HttpRequest, project: Project) -> dict[str, Any]:
    """Return the newest samples of the project, and whether the person may answer, in one query."""
    said = Judgement.objects.filter(item=OuterRef("pk"), withdrawn=False)
    answered = SampleItem.objects.filter(Exists(said.exclude(verdict=Judgement.Verdict.SKIPPED)))
    samples = Sample.objects.filter(project=project).annotate(
        all=count_subquery(SampleItem.objects.all(), "sample"),
        answered=count_subquery(answered, "sample"),
    )
    return {
        "samples": samples.order_by("-pk")[:SAMPLES],
        "may_review": request.user.has_perm(REVIEW, project),
    }


SECTIONS.append(Section("admin/review/overview.html", samples_of))
