"""The card of a model of image files says how a file becomes an input."""

from samebits.export.usage import _how_images_are_read


def test_the_card_tells_how_a_file_is_read() -> None:
    said = _how_images_are_read()
    assert said.startswith("EXIF rotation is applied, transparency is laid on white")
