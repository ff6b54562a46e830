from ami.exchange.admin import actions, clock, offers, plan
from ami.exchange.admin.export import ExportAdmin
from ami.exchange.admin.imports import ImportAdmin

__all__ = ["ExportAdmin", "ImportAdmin", "actions", "clock", "offers", "plan"]
