"""Images: what is read, what is refused and why, what is written."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from pydantic import TypeAdapter, ValidationError

from pipemount.pipelines.codecs import codec_for, coded, pillow
from pipemount.pipelines.edges import fit

IMAGE: TypeAdapter[Any] = TypeAdapter(coded(Image.Image))


def saved(image: Image.Image, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, format=format)
    return file.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refusal(value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        IMAGE.validate_python(value)
    return str(caught.value.errors()[0]["msg"])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of some dozen bytes that says that it holds side × side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\x00" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_images_are_read(format: str) -> None:
    image = IMAGE.validate_python(text(saved(Image.new("RGB", (4, 3), "red"), format)))
    assert (image.size, image.format) == ((4, 3), format)
    assert image.convert("RGB").getpixel((0, 0))[0] > 250


def test_base64_may_be_a_data_url_or_of_the_other_alphabet() -> None:
    data = saved(Image.effect_noise((20, 20), 50))
    assert {"-", "_"} & set(base64.urlsafe_b64encode(data).decode())
    for sent in (base64.urlsafe_b64encode(data).decode(), f"data:image/png;base64,{text(data)}"):
        assert saved(IMAGE.validate_python(sent)) == saved(Image.open(io.BytesIO(data)))


def test_what_is_no_image_is_refused_with_the_reason() -> None:
    whole = saved(Image.effect_noise((50, 50), 50))
    unknown = "Input cannot be read as Image: it is no image in one of the formats PNG, JPEG, GIF, WEBP, BMP, TIFF"
    assert refusal("!!") == "Input cannot be read as Image: it is not base64"
    assert refusal("Ä") == "Input cannot be read as Image: it is not base64"
    assert refusal("AAAA") == refusal("") == unknown
    assert refusal(text(saved(Image.new("RGB", (4, 3)), "PPM"))) == unknown
    assert refusal(text(whole[: len(whole) // 2])) == "Input cannot be read as Image: the PNG is broken or cut off"
    assert refusal(3) == "Input should be a valid string"


def test_an_image_that_would_fill_the_memory_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = pillow.MAX_PIXELS
    assert refusal(text(bomb(6000))).endswith(f"it has 6000 × 6000 pixels; {limit} in all are read")
    assert refusal(text(bomb(60_000))) == "Input cannot be read as Image: it has too many pixels"
    small = text(saved(Image.new("L", (4, 3))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert refusal(small) == "Input cannot be read as Image: it has too many pixels"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert IMAGE.validate_python(small).size == (4, 3)
    assert refusal(text(bomb(60_000))).endswith(f"{limit} in all are read")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P", "CMYK", "YCbCr", "F"])
def test_images_are_written_as_png(mode: str) -> None:
    data = base64.b64decode(IMAGE.dump_python(Image.new(mode, (4, 3)), mode="json"))
    assert Image.open(io.BytesIO(data)).size == (4, 3)
    assert data.startswith(b"\x89PNG")


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA"])
def test_what_is_transparent_stays_so(mode: str) -> None:
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    image = clear.convert("LA").convert(mode) if mode == "La" else clear.convert(mode)
    data = base64.b64decode(IMAGE.dump_python(image, mode="json"))
    assert Image.open(io.BytesIO(data)).convert("RGBA").getpixel((0, 0)) == (0, 0, 0, 0)


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B"])
def test_grey_of_sixteen_bits_stays_so(mode: str) -> None:
    data = base64.b64decode(IMAGE.dump_python(Image.new(mode, (2, 2), 3000), mode="json"))
    assert Image.open(io.BytesIO(data)).getpixel((0, 0)) == 3000


def test_the_schema_tells_how_an_image_is_written() -> None:
    schema = IMAGE.json_schema(mode="serialization")
    assert (schema["contentEncoding"], schema["contentMediaType"]) == ("base64", "image/png")
    assert schema == IMAGE.json_schema()


def test_edges_between_images() -> None:
    image = Image.new("L", (1, 1))
    assert IMAGE.validate_python(image) is image
    assert fit(Image.Image, Image.Image) == "ok"
    assert fit(PngImagePlugin.PngImageFile, Image.Image) == "ok"
    assert fit(int, Image.Image) == "never"
    assert codec_for(PngImagePlugin.PngImageFile) is None
