"""Which rows an export takes: those of a project, a capture set, a night, or some occurrences."""

from dataclasses import dataclass

from django.db.models import QuerySet

from ami.main.models import Detection, Occurrence, SourceImage, SourceImageCollection


@dataclass(frozen=True)
class Scope:
    """Rows of one project. A capture set, a night, or occurrences limit them further."""

    project_id: int
    collection_id: int | None = None
    event_id: int | None = None
    occurrence_ids: frozenset[int] | None = None

    @property
    def captures(self) -> QuerySet[SourceImage]:
        """The captures; of occurrences, those that show one."""
        rows = SourceImage.objects.filter(project=self.project_id)
        if self.collection_id is not None:
            through = SourceImageCollection.images.through.objects
            chosen = through.filter(sourceimagecollection=self.collection_id)
            rows = rows.filter(pk__in=chosen.values("sourceimage"))
        if self.event_id is not None:
            rows = rows.filter(event=self.event_id)
        if self.occurrence_ids is not None:
            shown = Detection.objects.filter(occurrence__any_of=self.occurrence_ids)
            rows = rows.filter(pk__in=shown.values("source_image"))
        return rows

    @property
    def occurrences(self) -> QuerySet[Occurrence]:
        """The occurrences; of captures, those that are shown on one."""
        rows = Occurrence.objects.filter(project=self.project_id)
        if self.occurrence_ids is not None:
            return rows.filter(pk__any_of=self.occurrence_ids)
        if self.event_id is not None:
            return rows.filter(event=self.event_id)
        if self.collection_id is not None:
            through = SourceImageCollection.images.through.objects
            chosen = through.filter(sourceimagecollection=self.collection_id)
            shown = Detection.objects.filter(source_image__in=chosen.values("sourceimage"))
            return rows.filter(pk__in=shown.values("occurrence"))
        return rows
