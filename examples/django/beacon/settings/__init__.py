"""What Beacon is told: ``common`` for all, ``development`` on one machine, ``production``, ``testing``."""
