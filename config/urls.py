from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from ami.base.csp import csp_report
from ami.base.errors import handler400, handler403, handler404, handler500  # noqa: F401
from ami.jobs.watch.metrics import metrics
from ami.jobs.watch.views import healthz
from ami.ml.post_processing.admin.methods import methods_page

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path(
        "admin/post-processing/",
        admin.site.admin_view(methods_page),
        name="post_processing_methods",
    ),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("metrics", metrics),
    path("csp-report", csp_report),
]
