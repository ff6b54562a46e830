from django.contrib import admin
from django.urls import path

from ami.base.csp import csp_report

urlpatterns = [path("admin/", admin.site.urls), path("csp-report", csp_report)]
