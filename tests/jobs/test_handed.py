from __future__ import annotations

from pipemount.jobs.handed import LONGEST, NEVER


def test_each_pause_is_twice_as_long_up_to_ten_minutes() -> None:
    handed, pauses = NEVER, []
    for _ in range(8):
        handed = handed.once_more(0, 0.0, 15.0)
        pauses.append(handed.pause)
    assert pauses == [30, 60, 120, 240, 480, LONGEST, LONGEST, LONGEST]
    assert handed.once_more(1, 0.0, 15.0).pause == 30, "somebody came for it, and it waits again"
