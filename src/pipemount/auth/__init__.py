"""Keys, signed tokens, and the principals they stand for."""

from .key import Key, digest, generate_key
from .keys import AuthKeys
from .tokens import Tokens

__all__ = ["AuthKeys", "Key", "Tokens", "digest", "generate_key"]
