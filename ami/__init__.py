import django_stubs_ext

__version__ = "0.2.0"

django_stubs_ext.monkeypatch()  # lets Django's generic classes accept type parameters at run time
