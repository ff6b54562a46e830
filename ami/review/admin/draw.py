"""The page that draws a sample: its population and strata first, then the sample."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render

from ami.base.admin import LargeTableAdmin, page_context
from ami.base.audit import reason_of
from ami.base.ids import parse_id
from ami.base.links import change_url, list_url
from ami.base.words import counted
from ami.jobs.models import Job
from ami.main.models import Event, Occurrence, Project, SourceImageCollection
from ami.review.drawing import (
    DOUBLE,
    EXPECTED,
    HIGHEST_SEED,
    MOST,
    Design,
    draw,
    how_drawn,
    proposed_name,
    proposed_seed,
    proposed_size,
)
from ami.review.models import DRAW, Sample
from ami.review.populations import DrawingRefusedError, Origin, find_origin
from ami.review.statistics.shares import sample_size
from ami.review.strata import Stratum, label_of, strata_of

SHOW = "_show"
MARGINS = (0.1, 0.05, 0.03)
FIELDSETS = (
    ("Sample", ["name", "size", "strata", "seed"]),
    ("Answers", ["double", "blind", "identifies"]),
)
STARTS = (Job, SourceImageCollection, Event, Project, Occurrence)


class DrawForm(forms.Form):
    """How the sample is drawn; `origin` decides by what it can be stratified."""

    name = forms.CharField(
        max_length=Sample._meta.get_field("name").max_length,
        widget=forms.TextInput({"class": "vTextField", "size": 50}),
    )
    size = forms.IntegerField(label="Number of occurrences", min_value=1, max_value=MOST)
    strata = forms.ChoiceField(
        label="Stratified by",
        required=False,
        widget=forms.RadioSelect,
        help_text="Each stratum gives the same number of occurrences, so that small ones can be "
        "judged, too. The result weights them by their sizes. Its interval is usually wider than "
        "that of a simple random sample of the same size.",
    )
    double = forms.IntegerField(
        label="Read twice (%)",
        min_value=0,
        max_value=100,
        help_text="The share of occurrences that two people judge, to measure how far they agree.",
    )
    blind = forms.BooleanField(
        label="Blind",
        required=False,
        help_text="Hide the determination until the person has answered, so that it does not "
        "influence the answer.",
    )
    identifies = forms.BooleanField(
        label="Answers become identifications",
        required=False,
        help_text="Otherwise, answers are only judgements, and no determination changes.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=HIGHEST_SEED,
        help_text="The same seed draws the same sample from the same occurrences.",
    )

    def __init__(self, *args: Any, origin: Origin, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        strata: Any = self.fields["strata"]
        strata.choices = [(one.value, label_of(one, origin.source)) for one in origin.strata]

    @property
    def chosen_strata(self) -> Sample.Strata:
        """What the form stratifies by, as far as it is valid."""
        value = self["strata"].value()
        valid = value in dict(self.fields["strata"].choices)  # type: ignore[attr-defined]
        return Sample.Strata(value) if valid else Sample.Strata.NONE

    def to_design(self) -> Design:
        given = {**self.cleaned_data}
        return Design(**given | {"strata": self.chosen_strata, "double": given["double"] / 100})


class DrawMixin(LargeTableAdmin[Sample]):
    """The page on which samples are added: they are drawn, never typed."""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A GET request shows the population and the form; a POST request draws."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            origin = _origin(request)
        except DrawingRefusedError as refused:
            return self._draw_page(request, refusal=str(refused))
        if origin is None:
            return self._draw_page(request)
        is_asked = request.method == "POST" and "name" in request.POST
        form = DrawForm(request.POST, origin=origin) if is_asked else None
        if form and SHOW not in request.POST and form.is_valid():
            try:
                return self._drawn(request, origin, form.to_design())
            except DrawingRefusedError as refused:
                form.add_error(None, str(refused))
        try:
            return self._draw_page(request, origin=origin, form=form)
        except DrawingRefusedError as refused:
            return self._draw_page(request, refusal=str(refused))

    def _drawn(self, request: HttpRequest, origin: Origin, design: Design) -> HttpResponse:
        """Draw, unless the form was sent before. Raises DrawingRefusedError."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('ami.review', %s))", [design.seed]
            )
            sample = _former(origin, design)
            if sample:
                text = "This form was sent before and has drawn this sample; no other was drawn."
                self.message_user(request, text, messages.WARNING)
            else:
                sample = draw(origin, design, reason=reason_of(request))
                items = counted(sample.items.count(), "occurrence")
                self.message_user(request, f"Drew {items} at random.", messages.SUCCESS)
        return HttpResponseRedirect(change_url(Sample, sample.pk))

    def _draw_page(
        self,
        request: HttpRequest,
        *,
        origin: Origin | None = None,
        form: DrawForm | None = None,
        refusal: str = "",
    ) -> HttpResponse:
        """The form, filled in with proposals if it was not sent. Raises DrawingRefusedError."""
        context = {
            **page_context(self, request, title="Draw a sample"),
            "refusal": refusal,
            "origin": origin,
            "starts": [(model._meta.verbose_name_plural, list_url(model)) for model in STARTS],
            "show_name": SHOW,
        }
        if origin is None and request.GET.get("source") == Sample.Source.OCCURRENCES:
            context |= {"projects": _projects(request), "query": request.GET.get("query", "")}
        if origin:
            population = _population(origin)
            form = form or DrawForm(initial=_initial(origin, population), origin=origin)
            context |= _shown(origin, form, population)
        return render(request, "admin/review/sample/draw.html", context)


def _origin(request: HttpRequest) -> Origin | None:
    """What the address names; None if it names nothing, or a list without a project.

    Raises DrawingRefusedError.
    """
    source, query = request.GET.get("source", ""), request.GET.get("query", "")
    if not source:
        return None
    filtered_by = QueryDict(query).get("project__id__exact", "")
    project = parse_id(request.GET.get("project", filtered_by))
    if source == Sample.Source.OCCURRENCES and project is None:
        projects = _projects(request)
        if len(projects) != 1:
            return None
        project = projects[0].pk
    user: Any = request.user
    pk = parse_id(request.GET.get("source_id", ""))
    return find_origin(source, source_id=pk, query=query, project_id=project, user=user)


def _former(origin: Origin, design: Design) -> Sample | None:
    """The sample that the person has drawn from there in the same way, if there is one."""
    former = Sample.objects.filter(**how_drawn(origin, design)).first()
    if former is None or former.items.count() != min(design.size, former.population):
        return None
    return former


def _projects(request: HttpRequest) -> list[Project]:
    """The projects in which the person may draw."""
    projects = Project.objects.for_user(request.user, DRAW).only("name").order_by("name", "pk")
    return list(projects)


def _population(origin: Origin) -> int:
    strata = Sample.Strata.NONE
    return sum(stratum.population for stratum in strata_of(origin.population(strata), strata))


def _initial(origin: Origin, population: int) -> dict[str, Any]:
    return {
        "name": proposed_name(origin),
        "size": proposed_size(population),
        "strata": "",
        "double": round(100 * DOUBLE),
        "blind": True,
        "identifies": True,
        "seed": proposed_seed(),
    }


def _shown(origin: Origin, form: DrawForm, population: int) -> dict[str, Any]:
    """The form, with the strata that it asks for and the sizes that S3 proposes."""
    strata: list[Stratum] = []
    if form.chosen_strata:
        strata = strata_of(origin.population(form.chosen_strata), form.chosen_strata)
    fieldsets = [(name, {"fields": fields}) for name, fields in FIELDSETS]
    return {
        "form": form,
        "population": population,
        "adminform": AdminForm(form, fieldsets, {}),  # type: ignore[arg-type]
        "strata": strata,
        "strata_label": label_of(form.chosen_strata, origin.source),
        "stratified": sum(stratum.population for stratum in strata),
        "sizes": [
            (round(100 * margin), sample_size(EXPECTED, margin, population))
            for margin in MARGINS
            if population
        ],
        "expected": round(100 * EXPECTED),
    }
