from ami.main.admin.integrity.acknowledgement import IntegrityAcknowledgementAdmin
from ami.main.admin.integrity.runs import IntegrityRunAdmin

__all__ = ["IntegrityAcknowledgementAdmin", "IntegrityRunAdmin"]
