from ami.base.admin import IdSearchAdminMixin
from ami.main.admin.audit import AuditNoteAdmin
from ami.main.admin.capture import SourceImageAdmin
from ami.main.admin.classification import ClassificationAdmin
from ami.main.admin.collection import SourceImageCollectionAdmin
from ami.main.admin.detection import DetectionAdmin
from ami.main.admin.identification import IdentificationAdmin
from ami.main.admin.occurrence import OccurrenceAdmin
from ami.main.admin.project import DeploymentAdmin, EventAdmin, ProjectAdmin
from ami.main.admin.taxon import TaxaListAdmin, TaxonAdmin

__all__ = [
    "AuditNoteAdmin",
    "ClassificationAdmin",
    "DeploymentAdmin",
    "DetectionAdmin",
    "EventAdmin",
    "IdSearchAdminMixin",
    "IdentificationAdmin",
    "OccurrenceAdmin",
    "ProjectAdmin",
    "SourceImageAdmin",
    "SourceImageCollectionAdmin",
    "TaxaListAdmin",
    "TaxonAdmin",
]
