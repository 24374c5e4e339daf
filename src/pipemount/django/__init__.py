"""Django: pipelines behind the project's own middleware, login, CSRF protection and permissions.

::

    urlpatterns = [path("ai/", include(pipelines.django_urls(before=[login_required])))]

``"pipemount.django"`` in ``INSTALLED_APPS`` adds system checks and ``manage.py pipemount``. Nothing is imported here:
Django imports an app's package before its settings can be read.
"""

__all__: list[str] = []
