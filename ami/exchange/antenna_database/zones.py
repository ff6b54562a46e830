"""The time zones of deployments, whose times Antenna stores as their clocks showed them."""

import zoneinfo
from collections.abc import Iterator, Mapping

from ami.exchange.antenna_database.selection import Selection
from ami.exchange.antenna_database.tables import DEPLOYMENTS
from ami.exchange.base import ImportRefusedError

# The setting TIME_ZONE of Antenna, in which its server writes the times of clocks.
ANTENNA = "America/New_York"
CLOCKS = """
SELECT s.id, s.name, zone.name, to_char(min(c.{time}), 'YYYY-MM-DD HH24:MI'),
       to_char(max(c.{time}), 'YYYY-MM-DD HH24:MI')
FROM main_deployment s {join} LEFT JOIN main_sourceimage c ON c.deployment_id = s.id
WHERE {scope} GROUP BY s.id, s.name, zone.name ORDER BY s.id
"""


def check_zone(option: str, name: str) -> str:
    """Return the name. Raises ImportRefusedError if it is not that of a time zone."""
    if name not in zoneinfo.available_timezones():
        raise ImportRefusedError(
            f"{option} must be an IANA time zone such as America/Montreal, got {name[:50]!r}."
        )
    return name


def set_zones(selection: Selection, given: Mapping[int, str]) -> None:
    """Set the time zones that were given by deployment.

    Raises ImportRefusedError if one of these is not copied, or if another has none.
    """
    statement = (
        f"SELECT s.id, s.name FROM main_deployment s WHERE {selection.scope(DEPLOYMENTS)} "  # noqa: S608
        "ORDER BY s.id"
    )
    names = dict(selection.source.rows(statement))
    if unknown := sorted(set(given) - set(names)):
        raise ImportRefusedError(
            f"--time-zone-of names deployment {unknown[0]}, which is not among those to copy."
        )
    if selection.default_zone is None and (missing := [pk for pk in names if pk not in given]):
        first = ", ".join(f"{pk} ({names[pk]})" for pk in missing[:10])
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise ImportRefusedError(
            "Antenna stores times as the clocks of its cameras showed them. The time zone is not "
            f"known of deployment {first}{more}: pass --time-zone for all, or --time-zone-of "
            "ID=ZONE for each."
        )
    selection.zones = given


def tell_clocks(selection: Selection) -> Iterator[str]:
    """Yield one sentence per deployment: its time zone, and the times of its clock."""
    kinds = selection.source.columns["main_sourceimage"]
    clock = "timestamp"
    if kinds["timestamp"] == "timestamp with time zone":
        clock = f"timestamp AT TIME ZONE '{selection.server_zone}'"
    statement = CLOCKS.format(
        time=clock, join=selection.zone_join(DEPLOYMENTS), scope=selection.scope(DEPLOYMENTS)
    )
    for pk, name, zone, first, last in selection.source.rows(statement):
        shown = f"captures from {first} to {last}" if first else "no captures with a time"
        yield f"Deployment {pk} ({name}): {shown} in {zone}."
