"""Searches of long lists by name and by path: the few named rows are found first, by an index."""

from typing import Any

from django.db.models import CharField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Upper
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal

from ami.base.admin import IdSearchAdminMixin
from ami.main.models import SourceImage, Taxon
from ami.main.models.source_image import FILE_KEY, PATH_KEY

MOST_TAXA = 1_000
MOST_CAPTURES = 1_000


def named(taxa: QuerySet[Taxon], term: str) -> QuerySet[Taxon]:
    """The taxa that have each word of the term in their name or in one of their search names.

    Words in quotation marks belong together.
    """
    further = Func(
        F("search_names"), Value("\n"), function="array_to_string", output_field=TextField()
    )
    taxa = taxa.alias(further_names=further)
    for word in sorted(smart_split(term), key=len, reverse=True):  # the rarest first
        quoted = len(word) > 2 and word[0] in "\"'" and word[0] == word[-1]
        text = unescape_string_literal(word) if quoted else word
        # Most taxa have no search names; to fold the case of none takes its time, too.
        in_further = Q(further_names__icontains=text) & ~Q(search_names=[])
        taxa = taxa.filter(Q(name__icontains=text) | in_further)
    return taxa


def captures_at(captures: QuerySet[SourceImage], term: str) -> set[int]:
    """The ids of captures whose path or file name begins so; more than MOST_CAPTURES only where
    there are more."""
    beginning = Upper(Value(term, output_field=CharField()))
    ids: set[int] = set()
    for key in (PATH_KEY, FILE_KEY):
        found = captures.alias(key=key).filter(key__startswith=beginning).order_by("key")
        ids.update(found.values_list("pk", flat=True)[: MOST_CAPTURES + 1])
    return ids


class TaxonSearchMixin(IdSearchAdminMixin):
    """Finds rows by the name of their taxon, which the field `named_by` holds.

    They are listed taxon by taxon, the newest first: so an index finds the first page of them,
    wherever in the table they are.
    """

    named_by: str
    search_help_text = "Search by id or taxon name. A search lists taxon by taxon, newest first."

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        taxa = named(Taxon.objects.all(), term).order_by("pk")
        ids = list(taxa.values_list("pk", flat=True)[: MOST_TAXA + 1])
        if len(ids) > MOST_TAXA:
            self.tell_more(request, MOST_TAXA, f"taxa have “{term}” in a name")
        found = queryset.filter(**{f"{self.named_by}__any_of": set(ids[:MOST_TAXA])})
        return found.order_by(f"-{self.named_by}_id", "-pk")


class PathSearchMixin(IdSearchAdminMixin):
    """Finds rows by where their capture lies: a subclass searches with `find_captures`."""

    search_help_text = "Search by id, or by the beginning of the path or of the file name."

    def find_captures(
        self, request: HttpRequest, captures: QuerySet[SourceImage], term: str
    ) -> set[int]:
        ids = captures_at(captures, term)
        if len(ids) > MOST_CAPTURES:
            self.tell_more(request, MOST_CAPTURES, f"captures have a path that begins “{term}”")
        return set(sorted(ids, reverse=True)[:MOST_CAPTURES])
