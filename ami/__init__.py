import django_stubs_ext

django_stubs_ext.monkeypatch()  # lets Django's generic classes take their parameter at run time
