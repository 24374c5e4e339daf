"""A run of a snapshot: who decides, who acts, what is told about it."""
