"""The pages of calibrations: the form that makes them, and what they found."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.html import format_html_join

from ami.base.access import visible, visible_rows_of
from ami.base.admin import LargeTableAdmin, page_context
from ami.base.links import list_url
from ami.base.next_steps import NextStep
from ami.base.words import counted
from ami.jobs.admin.pages import operator_of
from ami.main.models import Project, TaxaList
from ami.ml.models import Algorithm, Calibration
from ami.review.calibration.fitting import Fitted, fit
from ami.review.calibration.parts import CannotCalibrateError
from ami.review.drawing import HIGHEST_SEED

SIZE = 200  # of a reliability diagram
CALIBRATE = "ml.add_calibration"
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('ami.review.calibration', %s))"
# What two calibrations with the same result have in common.
SAME = ("algorithm", "project", "kind", "target", "seed", "scope", "parameters", "results")


class CalibrateForm(forms.Form):
    """By whose answers an algorithm is calibrated, and for which accuracy."""

    algorithm = forms.ModelChoiceField(Algorithm.objects.exclude(category_map=None))
    project = forms.ModelChoiceField(
        Project.objects.none(), help_text="The project whose independent answers are used."
    )
    target = forms.FloatField(
        label="Accuracy",
        initial=0.95,
        min_value=0.5,
        max_value=0.999,
        help_text="The share of names that should be right, such as 0.95.",
    )
    taxa_list = forms.ModelChoiceField(
        TaxaList.objects.none(),
        required=False,
        help_text="Also fit how much probability class masking by this list may remove.",
    )
    seed = forms.IntegerField(
        initial=0,
        min_value=0,
        max_value=HIGHEST_SEED,
        help_text="Decides which half of the occurrences is used to fit, and which to report.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["project"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = visible(Project.objects.order_by("name", "pk"), user, CALIBRATE)
        lists = self.fields["taxa_list"]
        assert isinstance(lists, forms.ModelChoiceField)
        lists.queryset = visible_rows_of(TaxaList, user).order_by("name", "pk")
        if user.is_superuser:
            field.required = False
            field.empty_label = "All projects"


@admin.register(Calibration)
class CalibrationAdmin(LargeTableAdmin[Calibration]):
    """Calibrations are fitted, never typed or changed."""

    next_step = NextStep(
        "{} on independent answers.", "Calibrate an algorithm", "ml.Calibration", adds=True
    )
    list_display = ("id", "algorithm", "kind", "project", "n_fit", "n_report", "created_at")
    list_filter = ("kind",)
    list_select_related = ("algorithm", "project")
    search_fields = ("algorithm__name",)
    search_help_text = "Search by id or name of the algorithm."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("algorithm", "kind", "found", "diagram", "curves")}),
        (
            "How it was fitted",
            {"fields": ("project", "scope", "target", "n_fit", "n_report", "seed")},
        ),
        (None, {"fields": ("author", "created_at")}),
        ("As stored", {"fields": ("parameters",), "classes": ("collapse",)}),
    )
    readonly_fields = ("found", "diagram", "curves", "created_at")

    class Media:
        css = {"all": ["review/calibration.css"]}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Calibration | None = None) -> Any:
        """Leave out the diagram and the curves of taxa where there are none."""
        (_, first), *others = super().get_fieldsets(request, obj)
        empty = {"diagram": not (obj and obj.bins), "curves": not (obj and obj.of_taxa)}
        fields = [name for name in first["fields"] if not empty.get(str(name))]
        return [(None, {"fields": fields}), *others]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A GET request shows the form; a POST request fits and stores the calibrations."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        is_sent = request.method == "POST"
        initial = {"algorithm": request.GET.get("algorithm")}
        form = CalibrateForm(request.POST if is_sent else None, initial=initial, user=request.user)
        if is_sent and form.is_valid():
            asked = form.cleaned_data
            try:
                found = fit(
                    asked["algorithm"],
                    asked["project"],
                    target=asked["target"],
                    seed=asked["seed"],
                    taxa_list=asked["taxa_list"],
                )
            except CannotCalibrateError as refused:
                form.add_error(None, str(refused))
            else:
                return self._stored(request, found, asked["algorithm"])
        fieldsets: Any = [(None, {"fields": list(form.fields)})]
        context = {
            **page_context(self, request, title="Calibrate an algorithm"),
            "form": form,
            "adminform": AdminForm(form, fieldsets, {}),  # type: ignore[arg-type]
        }
        return render(request, "admin/review/calibrate.html", context)

    def _stored(self, request: HttpRequest, found: Fitted, algorithm: Algorithm) -> HttpResponse:
        """Store what was not stored before with the same result: a form may be sent twice."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK, [algorithm.pk])
            fresh = [one for one in found.calibrations if not _is_stored(one)]
            for one in fresh:
                one.author = operator_of(request)
                one.save()
                self.log_addition(request, one, [{"added": {}}])
        if fresh:
            told = f"Stored {counted(len(fresh), 'calibration')} of {algorithm}."
            self.message_user(request, told, messages.SUCCESS)
        if known := len(found.calibrations) - len(fresh):
            same = counted(known, "calibration was", "calibrations were")
            text = f"{same} stored before with the same result; none was added."
            self.message_user(request, text, messages.WARNING)
        for kind, reason in found.refusals.items():
            text = f"{Calibration.Kind(kind).label}: {reason}"
            self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(list_url(Calibration))

    @admin.display(description="on the other half")
    def found(self, obj: Calibration) -> str:
        return format_html_join("", "<div>{}</div>", ((one,) for one in obj.sentences()))

    @admin.display(description="by taxon")
    def curves(self, obj: Calibration) -> str:
        return format_html_join("", "<div>{}</div>", ((one,) for one in obj.of_taxa))

    @admin.display(description="reliability")
    def diagram(self, obj: Calibration) -> str:
        sides = [
            {"name": f"{side} calibration", "bars": bars_of(obj.bins[side])}
            for side in ("before", "after")
            if side in obj.bins
        ]
        return render_to_string("admin/review/reliability.html", {"sides": sides, "size": SIZE})


def _is_stored(one: Calibration) -> bool:
    same = {name: getattr(one, name) for name in SAME}
    return Calibration.objects.filter(**same).exists()


def bars_of(bins: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The bars of a reliability diagram as coordinates of an SVG drawing."""
    return [
        {
            "x": round(SIZE * one["low"], 1),
            "width": round(SIZE * (one["high"] - one["low"]), 1),
            "y": round(SIZE * (1 - one["accuracy"]), 1),
            "height": round(SIZE * one["accuracy"], 1),
            **one,
        }
        for one in bins
        if one["n"]
    ]
