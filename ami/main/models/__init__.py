from ami.main.models.audit import AuditNote
from ami.main.models.classification import Classification
from ami.main.models.collection import SourceImageCollection
from ami.main.models.deployment import Deployment
from ami.main.models.detection import Detection
from ami.main.models.event import Event, group_images_into_events
from ami.main.models.identification import Identification
from ami.main.models.occurrence import Occurrence, update_occurrence_determination
from ami.main.models.project import Membership, Project
from ami.main.models.source_image import SourceImage
from ami.main.models.taxon import TaxaList, Taxon, TaxonRank

__all__ = [
    "AuditNote",
    "Classification",
    "Deployment",
    "Detection",
    "Event",
    "Identification",
    "Membership",
    "Occurrence",
    "Project",
    "SourceImage",
    "SourceImageCollection",
    "TaxaList",
    "Taxon",
    "TaxonRank",
    "group_images_into_events",
    "update_occurrence_determination",
]
