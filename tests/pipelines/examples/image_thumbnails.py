"""Image thumbnails: every image in every size, side by side, in the order that they came in."""

from __future__ import annotations

import io
from typing import Annotated

from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

from pipemount import pipeline, step, unmapped

Size = Annotated[int, Field(ge=1, le=1024)]


class Thumbnail(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")

    width: int
    height: int
    png: bytes


@step(public_errors=OSError, error_statuses={OSError: 422})
def read(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    return ImageOps.exif_transpose(image).convert("RGB")


@step
def grey(image: Image.Image) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


@step
def shrink(image: Image.Image, size: int) -> Thumbnail:
    small = image.copy()
    small.thumbnail((size, size))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return Thumbnail(width=small.width, height=small.height, png=buffer.getvalue())


@step
def stamp(thumbnail: Thumbnail, text: str) -> str:
    return f"{text} {thumbnail.width}×{thumbnail.height}"


@pipeline
def image_thumbnails(images: list[bytes], sizes: list[Size], greyscale: bool = False, author: str | None = None):
    """Thumbnails of all images in all sizes, as PNG."""
    opened = read.map(images)
    if greyscale:
        opened = grey.map(opened)
    thumbnails = shrink.product(opened, sizes, max_concurrency=4)
    outputs = {"thumbnails": thumbnails}
    if author is not None:
        outputs["captions"] = stamp.map(thumbnails, text=unmapped(author))
    return outputs
