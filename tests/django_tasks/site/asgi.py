from django.core.asgi import get_asgi_application
from django.core.management import call_command

application = get_asgi_application()
call_command("migrate", verbosity=0)
