"""``manage.py pipemount``: the commands on the pipelines that the project's URLconf has."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ....cli.mounted import main
from ...mounts import mounted_pipelines

__all__ = ["Command"]


class Command(BaseCommand):
    """Hands everything behind ``manage.py pipemount`` over to the command line of the package."""

    help = "Check, draw, describe, compare and run the pipelines that are mounted in this project."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """All that comes is one argument, of any number of words."""
        parser.add_argument(
            "words",
            nargs=argparse.REMAINDER,
            metavar="check|draw|describe|diff|run|keys ...",
            help="A command and its options; COMMAND --help tells them.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ends the process with the command's exit code."""
        main(options["words"] or ["--help"], mounted_pipelines(), program="manage.py pipemount")
