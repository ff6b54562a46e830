"""Searches of long lists by name or path, which first find the few named rows with an index."""

from typing import Any, cast

from django.db.models import CharField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Upper
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal

from ami.base.access import visible
from ami.base.admin import IdSearchAdminMixin
from ami.base.storable import storable_text
from ami.main.models import SourceImage, Taxon
from ami.main.models.source_image import FILE_KEY, PATH_KEY
from ami.main.names import tidy
from ami.main.resolver import resolve_names

MOST_TAXA = 1_000
SIMILAR = 5
MOST_CAPTURES = 1_000


def named(taxa: QuerySet[Taxon], term: str) -> QuerySet[Taxon]:
    """Return the taxa with each word of the term in their name or one of their search names.

    Words in quotation marks are searched as a phrase. The term is read in the form that all names
    have, so that an underscore or a no-break space separates words.
    """
    further = Func(
        F("search_names"), Value("\n"), function="array_to_string", output_field=TextField()
    )
    taxa = taxa.alias(further_names=further)
    for word in sorted(smart_split(tidy(term) or term), key=len, reverse=True):  # the rarest first
        quoted = len(word) > 2 and word[0] in "\"'" and word[0] == word[-1]
        text = unescape_string_literal(word) if quoted else word
        # Most taxa have no search names; skipping them saves the time to convert their case.
        in_further = Q(further_names__icontains=text) & ~Q(search_names=[])
        taxa = taxa.filter(Q(name__icontains=text) | in_further)
    return taxa


class UnknownNameError(ValueError):
    """No taxon has the name; the message says so, and names similar ones."""


def taxon_named(text: str) -> Taxon:
    """Return the taxon for which a name stands that a person typed.

    Raises UnknownNameError.
    """
    typed = " ".join(storable_text(text).split())[:255]
    if not typed:
        raise UnknownNameError("Enter the name of a taxon.")
    if found := resolve_names([typed]).named:
        return Taxon.objects.get(pk=found[typed])
    similar = named(Taxon.objects.all(), typed).order_by("name")[:SIMILAR]
    names = ", ".join(taxon.name for taxon in similar)
    hint = f"Similar names: {names}." if names else "Enter a name of the catalogue of taxa."
    raise UnknownNameError(f"No taxon is named “{typed}”. {hint}")


def captures_at(captures: QuerySet[SourceImage], term: str) -> set[int]:
    """Return the ids of captures whose path or file name begins with the term.

    If there are more than `MOST_CAPTURES`, more than that many are returned, but not all.
    """
    beginning = Upper(Value(term, output_field=CharField()))
    ids: set[int] = set()
    for key in (PATH_KEY, FILE_KEY):
        found = captures.alias(key=key).filter(key__startswith=beginning).order_by("key")
        ids.update(found.values_list("pk", flat=True)[: MOST_CAPTURES + 1])
    return ids


class TaxonSearchMixin(IdSearchAdminMixin):
    """Finds rows by the name of the taxon in their field `named_by`.

    They are sorted by taxon, then newest first, so that an index finds the first page wherever
    the rows are in the table.
    """

    named_by: str
    search_help_text = "Search by id or taxon name. Results are sorted by taxon, newest first."

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        taxa = named(Taxon.objects.all(), term).order_by("pk")
        ids = list(taxa.values_list("pk", flat=True)[: MOST_TAXA + 1])
        if len(ids) > MOST_TAXA:
            self.tell_more(request, MOST_TAXA, f"taxa contain “{term}” in a name")
        found = queryset.filter(**{f"{self.named_by}__any_of": set(ids[:MOST_TAXA])})
        return found.order_by(f"-{self.named_by}_id", "-pk")


class PathSearchMixin(IdSearchAdminMixin):
    """Finds rows by the path of their capture. Subclasses search with `find_captures`."""

    search_help_text = "Search by id, or by the beginning of the path or of the file name."

    def find_captures(
        self, request: HttpRequest, captures: QuerySet[SourceImage], term: str
    ) -> set[int]:
        ids = captures_at(cast(QuerySet[SourceImage], visible(captures, request.user)), term)
        if len(ids) > MOST_CAPTURES:
            self.tell_more(request, MOST_CAPTURES, f"captures have a path beginning with “{term}”")
        return set(sorted(ids, reverse=True)[:MOST_CAPTURES])
