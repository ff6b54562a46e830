from django.contrib import admin
from django.urls import path

from ami.base.csp import csp_report
from ami.base.errors import handler400, handler403, handler404, handler500  # noqa: F401

urlpatterns = [path("admin/", admin.site.urls), path("csp-report", csp_report)]
