"""The tables of who may do what on which page of the admin."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.urls import reverse

# Addresses without rows of projects. All others must be in the tables below.
PUBLIC = {
    "",
    "healthz",
    "metrics",  # needs the token of METRICS_TOKEN
    "csp-report",
    "admin:login",
    "admin:logout",
    "admin:jsi18n",
    "admin:view_on_site",
}
ABOUT_ONESELF = {
    "admin:index",
    "admin:app_list",
    "admin:password_change",
    "post_processing_methods",  # lists methods, and the runs that the person may see
    "admin:password_change_done",
    "admin:autocomplete",  # asks the admin of the rows that it suggests
    "(?P<url>.*)$",  # redirects an address without its slash, else 404
}
# What members see although they are not staff; test_pictures.py, test_overview.py and
# test_review_page.py test it.
FOR_MEMBERS = {
    "admin:main_detection_picture",
    "admin:main_sourceimage_picture",
    "admin:main_project_overview",
    "admin:main_project_overviews",
    "admin:review",
    "admin:review_answer",
    "admin:review_taxa",
}

# The role that a person needs to see, add, change and delete rows; nobody does what has a dash.
# The site's administrators change what all projects share, with model permissions.
MODELS = """
    model                                 view    add         change      delete
    main.project                          viewer  admin       manager     manager
    main.deployment                       viewer  manager     manager     manager
    main.event                            viewer  manager     manager     manager
    main.sourceimage                      viewer  superuser   manager     manager
    main.sourceimagecollection            viewer  operator    operator    manager
    main.detection                        viewer  manager     manager     manager
    main.classification                   viewer  manager     manager     manager
    main.occurrence                       viewer  manager     operator    manager
    main.identification                   viewer  identifier  identifier  manager
    jobs.job                              viewer  -           operator    manager
    jobs.jobchange                        viewer  -           -           manager
    integrity.integrityrun                viewer  -           -           manager
    exchange.export                       viewer  -           -           manager
    exchange.import                       viewer  admin       -           manager
    integrity.integrityacknowledgement    viewer  operator    operator    manager
    review.sample                         viewer  operator    -           manager
    ml.calibration                        viewer  operator    -           manager
    main.auditnote                        manager -           -           -
    main.taxon                            staff   admin       admin       admin
    main.taxalist                         staff   admin       admin       admin
    ml.algorithm                          staff   admin       admin       admin
    ml.algorithmcategorymap               staff   admin       admin       admin
    users.user                            manager admin       admin       admin
    auth.group                            admin   admin       admin       admin
    jobs.pulse                            admin   -           -           -
    django_celery_beat.periodictask       admin   admin       admin       admin
    django_celery_beat.intervalschedule   admin   admin       admin       admin
    django_celery_beat.crontabschedule    admin   admin       admin       admin
    django_celery_beat.solarschedule      admin   admin       admin       admin
    django_celery_beat.clockedschedule    admin   admin       admin       admin
    axes.accessattempt                    admin   -           admin       admin
    axes.accesslog                        admin   -           admin       admin
    axes.accessfailurelog                 admin   -           admin       admin
"""

# The pages of each model, with what they need for GET and POST.
PAGES = """
    page        GET     POST
    changelist  view    view
    add         add     add
    change      view    change
    delete      delete  delete
    history     view    view
"""

# The project's own pages.
OWN_PAGES = """
    page                              GET       POST
    main_occurrence_identify          identifier identifier
    main_occurrence_recompute         operator  operator
    jobs_job_live                     viewer    viewer
    jobs_job_log                      viewer    viewer
    jobs_job_changes                  viewer    viewer
    jobs_job_revert                   operator  operator
    jobs_job_again                    operator  operator
    jobs_job_run_again                operator  operator
    jobs_job_effect                   viewer    viewer
    integrity_integrityrun_check      operator  operator
    integrity_integrityrun_repair     operator  operator
    integrity_integrityrun_schedule   admin     admin
    auth_user_password_change         admin     admin
    main_auditnote_csv                manager   manager
    review_sample_answers             viewer    viewer
    exchange_export_file              viewer    viewer
    exchange_export_problems          viewer    viewer
"""

# The actions of the lists.
ACTIONS = """
    model                       action                   needs
    main.sourceimagecollection  populate                 operator
    main.sourceimagecollection  run_*                    operator
    main.sourceimagecollection  export_rows              operator
    main.event                  export_rows              operator
    main.occurrence             export_rows              operator
    main.project                export_rows              operator
    main.event                  run_*                    operator
    main.occurrence             run_*                    operator
    main.occurrence             recompute_determination  operator
    jobs.job                    pause_jobs               operator
    jobs.job                    resume_jobs              operator
    jobs.job                    cancel_jobs              operator
    jobs.job                    run_jobs_again           operator
"""


# What a manager needs besides to import a file: model permissions, because all projects share the
# names in it. The revert of a name list needs the same; test_name_list_jobs.py tests it.
IMPORTS = {
    "occurrences": ("main.add_taxon", "ml.change_algorithmcategorymap"),
    "name list": ("main.add_taxon", "main.change_taxon", "main.change_taxalist"),
    "name list into a new taxa list": ("main.add_taxon", "main.change_taxon", "main.add_taxalist"),
}

RANKS = {"staff": 0, "viewer": 1, "identifier": 2, "operator": 3, "manager": 4, "admin": 5, "-": 9}


def table(text: str) -> list[dict[str, str]]:
    head, *lines = (line.split() for line in text.strip().splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


OF_A_ROW = (
    "file|problems|identify|recompute|change|delete|history|live|log|changes|revert|again|effect|"
    "answers"
)


class Page(NamedTuple):
    """An address. `label` is the model of the row whose id it has, or whose rows it lists."""

    name: str
    label: str
    needs: dict[str, str]

    @property
    def has_row(self) -> bool:
        return bool(re.search(f"_({OF_A_ROW})$", self.name))

    def url(self, pk: Any) -> str:
        return reverse(f"admin:{self.name}", args=[pk] if self.has_row else [])


def pages_of_models() -> Iterator[Page]:
    for rights in table(MODELS):
        app, name = rights["model"].split(".")
        for page in table(PAGES):
            needs = {method: rights[page[method]] for method in ("GET", "POST")}
            yield Page(f"{app}_{name}_{page['page']}", rights["model"], needs)


def own_pages() -> Iterator[Page]:
    for page in table(OWN_PAGES):
        app, name = page["page"].split("_")[:2]
        label = "users.user" if app == "auth" else f"{app}.{name}"
        yield Page(page["page"], label, {method: page[method] for method in ("GET", "POST")})


EVERY_PAGE = [*pages_of_models(), *own_pages()]
OF_PROJECTS = {row["model"] for row in table(MODELS) if row["view"] == "viewer"}


def every_action() -> Iterator[tuple[str, str, str]]:
    for row in table(ACTIONS):
        method = "run_tracking" if row["model"] == "main.event" else "run_small_size_filter"
        yield row["model"], row["action"].replace("run_*", method), row["needs"]
    for row in table(MODELS):
        if row["model"] != "jobs.jobchange":  # whose list has no actions
            yield row["model"], "delete_selected", row["delete"]


def is_allowed(who: str, needs: str) -> bool:
    """Whether a person who sees the row may do what needs this role."""
    if needs == "superuser":  # what even model permissions do not give
        return who == "superuser"
    if who in {"superuser", "holder"}:
        return needs != "-"
    return needs != "admin" and RANKS[who.removeprefix("foreign ")] >= RANKS[needs]
