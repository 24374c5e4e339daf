"""Codec of PIL images: PNG in base64, of what a caller sends also the other formats that browsers show.

An image is opened and decompressed where it is validated, so that a broken one is the caller's fault, not a step's.
Its size is looked at before: a small file can hold an image that fills the memory.
"""

from __future__ import annotations

import base64
import binascii
import io
import sys
from typing import Annotated, Any

from pydantic import WithJsonSchema

from .codec import Codec

__all__ = ["MAX_PIXELS", "image_codec"]

MAX_PIXELS = 2**25
"""The largest image that is read, 128 MiB in memory; ``PIL.Image.MAX_IMAGE_PIXELS`` may be smaller."""

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_PNG_MODES = ("1", "L", "LA", "I;16", "I;16B", "P", "RGB", "RGBA")
_NEAREST = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA", "I": "I;16"}
"""What keeps transparency, and the depth of grey, of an image that PNG has no mode for."""
_Base64 = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/png",
            "description": f"An image in base64; {', '.join(_FORMATS)} are read, PNG is written.",
        }
    ),
]


def image_codec(annotation: type) -> Codec | None:
    """The codec of ``Image``; ``None`` for the classes of single formats."""
    return Codec(_Base64, _decode, _encode) if annotation is _pillow().Image else None


def _pillow() -> Any:
    return sys.modules["PIL.Image"]


def _decode(text: str) -> Any:
    data = _bytes(text.partition(",")[2] if text.startswith("data:") else text)
    pillow = _pillow()
    try:
        image = pillow.open(io.BytesIO(data), formats=_FORMATS)
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise ValueError("it has too many pixels") from error
    except Exception as error:  # formats raise whatever they stumble over
        raise ValueError(f"it is no image in one of the formats {', '.join(_FORMATS)}") from error
    limit = min(MAX_PIXELS, pillow.MAX_IMAGE_PIXELS or MAX_PIXELS)
    if image.width * image.height > limit:
        raise ValueError(f"it has {image.width} × {image.height} pixels; {limit} in all are read")
    return _loaded(image)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.translate(_STANDARD), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("it is not base64") from error


_STANDARD = str.maketrans("-_", "+/", "\r\n")


def _loaded(image: Any) -> Any:
    try:
        image.load()
    except Exception as error:  # as above
        raise ValueError(f"the {image.format} is broken or cut off") from error
    return image


def _encode(image: Any) -> str:
    file = io.BytesIO()
    (image if image.mode in _PNG_MODES else image.convert(_NEAREST.get(image.mode, "RGB"))).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
