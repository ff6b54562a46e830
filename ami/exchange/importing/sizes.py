"""The sizes of captures that a file does not tell, for boxes that are shares of them."""

from collections.abc import Iterable, Iterator

from ami.exchange.importing.media import REMEDY, look
from ami.exchange.reading.records import CaptureRecord, Fault
from ami.main.models import SourceImage

CHECKED = 1000  # captures at once
UPLOADED = "Import the file with the command, which reads sizes with --media."
Size = tuple[int, int]


class Sizes:
    """Looks for sizes in the database, and then in the pictures below `media` unless it is None."""

    def __init__(self, project_id: int | None, media: str | None) -> None:
        self.project_id = project_id
        self.media = media
        self._needed: dict[tuple[str, str], str] = {}
        self._found = 0  # sizes
        self._lacking: Fault | None = None  # the first picture that was not found

    def need(self, capture: CaptureRecord, place: str) -> Iterator[Fault]:
        """Ask for the size of a capture; yields the faults of those that were asked for before."""
        if capture.width is None or capture.height is None:
            self._needed.setdefault(capture.key, place)
            if len(self._needed) >= CHECKED:
                yield from self.missing()

    def missing(self) -> Iterator[Fault]:
        """Yield a fault for each capture whose size is nowhere.

        If `media` is given, single pictures that it lacks are no fault: see :meth:`faults`.
        """
        known = self.known(self._needed)
        for (deployment, path), place in self._needed.items():
            if (deployment, path) in known:
                self._found += 1
                continue
            size, fault = look(self.media, path)
            self._found += size is not None
            if size is None and self.media:
                self._lacking = self._lacking or Fault(place, f"the picture {path!r} {fault}.")
            elif size is None:
                yield Fault(
                    place,
                    f"the boxes are shares of capture {path!r}, whose size is not known. "
                    f"{REMEDY if self.media == '' else UPLOADED}",
                )
        self._needed.clear()

    def faults(self) -> Iterator[Fault]:
        """Yield the faults that are left at the end of the file.

        It is one if no picture is found at all: then `media` is the wrong place.
        """
        yield from self.missing()
        if self._lacking and not self._found:
            place, sentence = self._lacking
            yield Fault(place, f"none of the pictures was found, for example: {sentence} {REMEDY}")

    def known(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Size]:
        """Return the sizes in the database, by deployment and path."""
        wanted = set(keys)
        if self.project_id is None or not wanted:
            return {}
        rows = SourceImage.objects.filter(
            project=self.project_id,
            deployment__name__in={name for name, _ in wanted},
            path__in={path for _, path in wanted},
            width__isnull=False,
            height__isnull=False,
        ).values_list("deployment__name", "path", "width", "height")
        return {(name, path): (width or 0, height or 0) for name, path, width, height in rows}
