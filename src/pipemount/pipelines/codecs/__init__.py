"""Codecs: how values that JSON does not know are described, read and written.

One module per library, each without importing it: who annotates a parameter with a library's type has imported it.
"""

from __future__ import annotations

from .codec import Codec
from .coding import coded
from .registry import codec_for, load_installed, register_codec

__all__ = ["Codec", "codec_for", "coded", "load_installed", "register_codec"]
