from ami.integrity.admin.acknowledgement import IntegrityAcknowledgementAdmin
from ami.integrity.admin.again import RepairOffers
from ami.integrity.admin.overview import last_findings
from ami.integrity.admin.runs import IntegrityRunAdmin

__all__ = ["IntegrityAcknowledgementAdmin", "IntegrityRunAdmin", "RepairOffers", "last_findings"]
