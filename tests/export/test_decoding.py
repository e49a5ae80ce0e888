from io import BytesIO

import pytest
from helpers.logged_pictures import file_of, picture
from PIL import Image

from lightning_cnnviz.export.decoding import PictureError, decoding


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about damaged metadata
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_whatever_is_wrong_with_a_file_is_one_kind_of_error(form):
    whole = file_of(picture(0), format=form)
    wrong = 0
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 255
        for data in (bytes(broken), whole[:place]):
            try:
                with decoding():
                    Image.open(BytesIO(data)).convert("RGB")
            except PictureError:
                wrong += 1
    assert wrong > 10


def test_a_picture_that_claims_to_be_huge_is_an_error(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="exceeds limit"), decoding():
        Image.open(BytesIO(file_of(picture(0))))
