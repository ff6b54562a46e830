import django_stubs_ext

django_stubs_ext.monkeypatch()  # lets Django's generic classes accept type parameters at run time
