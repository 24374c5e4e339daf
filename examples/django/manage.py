"""Django's commands for Beacon: ``python manage.py migrate``."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beacon.settings.development")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
