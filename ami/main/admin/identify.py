"""Identify an occurrence, or recompute its determination, on its page."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from ami.base.admin import LargeTableAdmin
from ami.base.audit import Kind, record
from ami.base.ids import parse_id
from ami.base.links import change_url
from ami.base.storable import storable_text
from ami.main.admin.search import UnknownNameError, taxon_named
from ami.main.determinations import DeterminationChange, update_determinations
from ami.main.models import Classification, Identification, Occurrence, Taxon
from ami.users.models import User

IDENTIFY = "main.add_identification"
CHANGE = "main.change_occurrence"
BATCH = 1_000
LONGEST_COMMENT = 2_000


class IdentifyMixin(LargeTableAdmin[Occurrence]):
    """Handles the buttons of an occurrence's page, and returns to that page."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<path:object_id>/identify/",
                wrap(self.identify_view),
                name="main_occurrence_identify",
            ),
            path(
                "<path:object_id>/recompute/",
                wrap(self.recompute_view),
                name="main_occurrence_recompute",
            ),
            *super().get_urls(),
        ]

    def identify_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Identify the occurrence in the person's own name, or withdraw what they said."""
        occurrence = self._row(request, object_id, IDENTIFY)
        if request.method == "POST":
            with transaction.atomic():
                self._identify(request, occurrence)
        return _back(request, occurrence, anchor="#identifications")

    def recompute_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        occurrence = self._row(request, object_id, CHANGE)
        if request.method == "POST":
            changes = self.recompute(request, [occurrence.pk])
            occurrence.refresh_from_db()
            told = "has changed to" if changes else "is up to date:"
            text = f"The determination of {occurrence} {told} {occurrence.determination or 'none'}."
            self.message_user(request, text, messages.SUCCESS)
        return _back(request, occurrence)

    def recompute(self, request: HttpRequest, ids: list[int]) -> list[DeterminationChange]:
        """Apply the determination rule, and record for each occurrence whether it changed."""
        changes = [
            change
            for start in range(0, len(ids), BATCH)
            for change in update_determinations(ids[start : start + BATCH])
        ]
        changed = {change.occurrence_id for change in changes}
        rows = Occurrence.objects.filter(pk__any_of=set(ids)).only("project_id").order_by("pk")
        for has_changed in (True, False):
            record(
                [row for row in rows if (row.pk in changed) == has_changed],
                kind=Kind.RECOMPUTE,
                user=request.user,
                message="Recomputed; it changed." if has_changed else "Recomputed; it was correct.",
            )
        return changes

    def _row(self, request: HttpRequest, object_id: str, perm: str) -> Occurrence:
        """Raises Http404 and PermissionDenied."""
        row = self.get_queryset(request).filter(pk=parse_id(object_id) or 0).first()
        if row is None:
            raise Http404(f"There is no occurrence {object_id}.")
        if not request.user.has_perm(perm, row):
            raise PermissionDenied
        return row

    def _identify(self, request: HttpRequest, occurrence: Occurrence) -> None:
        # A run may merge the occurrence into another one; lock it until the person's row is there.
        held = Occurrence.objects.select_for_update(no_key=True).filter(pk=occurrence.pk)
        if not held.exists():
            raise Http404(f"There is no occurrence {occurrence.pk}.")
        if withdrawn := request.POST.get("withdraw"):
            self._withdraw(request, occurrence, withdrawn)
            return
        taxon = self._taxon(request)
        if taxon is None:
            return
        own = occurrence.identifications.filter(withdrawn=False, taxon__isnull=False)
        latest = own.order_by("-created_at", "-pk").first()
        user = cast(User, request.user)
        if latest and (latest.user_id, latest.taxon_id) == (user.pk, taxon.pk):
            self.message_user(request, f"You have already identified it as {taxon}.")
            return
        comment = storable_text(request.POST.get("comment", ""))[:LONGEST_COMMENT]
        said = Identification(occurrence=occurrence, taxon=taxon, user=user, comment=comment)
        if request.POST.get("agree"):
            said.confirm()
        self._save(request, said, change=False)
        self.message_user(request, f"You identified it as {taxon}.", messages.SUCCESS)

    def _withdraw(self, request: HttpRequest, occurrence: Occurrence, asked: str) -> None:
        """Withdraw an identification of the person's own."""
        user = cast(User, request.user)
        said = occurrence.identifications.filter(pk=parse_id(asked) or 0, user=user).first()
        if said is None:
            text = "You can withdraw only your own identifications of this occurrence."
            self.message_user(request, text, messages.WARNING)
            return
        said.withdrawn = True
        self._save(request, said, change=True)
        self.message_user(request, f"You withdrew {said.taxon or 'it'}.", messages.SUCCESS)

    def _save(self, request: HttpRequest, said: Identification, *, change: bool) -> None:
        """Save and record it as the form of identifications does."""
        form: Any = self.admin_site._registry[Identification]
        form.save_model(request, said, None, change)
        if change:
            form.log_change(request, said, [{"changed": {"fields": ["Withdrawn"]}}])
        else:
            form.log_addition(request, said, [{"added": {}}])

    def _taxon(self, request: HttpRequest) -> Taxon | None:
        """Return the taxon that was agreed with or typed. Otherwise tell what is wrong."""
        if agreed := request.POST.get("agree"):
            taxon = Taxon.objects.filter(pk=parse_id(agreed) or 0).first()
            if taxon is None:
                text = "The taxon no longer exists; enter another one."
                self.message_user(request, text, messages.ERROR)
            return taxon
        try:
            return taxon_named(request.POST.get("taxon", ""))
        except UnknownNameError as unknown:
            self.message_user(request, str(unknown), messages.ERROR)
            return None


def _back(request: HttpRequest, occurrence: Occurrence, anchor: str = "") -> HttpResponseRedirect:
    """Return to the page of the button, with the filters of its list."""
    query = request.GET.copy()
    pk = parse_id(query.pop("classification", [""])[-1])
    if pk:
        return HttpResponseRedirect(change_url(Classification, pk))
    kept = f"?{query.urlencode()}" if query else ""
    return HttpResponseRedirect(f"{change_url(Occurrence, occurrence.pk)}{kept}{anchor}")
