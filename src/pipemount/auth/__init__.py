"""Keys and the principals they stand for."""
