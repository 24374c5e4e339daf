"""Keys and the principals they stand for."""

from .key import Key, digest, generate_key
from .keys import AuthKeys

__all__ = ["AuthKeys", "Key", "digest", "generate_key"]
