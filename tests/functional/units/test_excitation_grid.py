import numpy as np
import pytest
import torch
from helpers.reading import frames, written

from lightning_cnnviz.functional.units.excitation_grid import excitation_grid
from lightning_cnnviz.functional.units.gradient_ascent import Ascent, Excitation


def excitation(count=3, size=(1, 7, 7), **changed):
    generator = np.random.default_rng(0)
    images = torch.from_numpy(generator.choice([-2.0, 4.0], (count, *size)))
    images.view(count, -1)[:, :2] = torch.tensor([-2.0, 4.0])  # each from black to white, and no grey like the frames'
    found = Excitation(images, torch.arange(count) / 3, list(range(count)), count, ["ok"] * count, Ascent())
    return found._replace(**changed)


def test_each_image_stands_in_its_place_from_black_to_white():
    found = excitation(10)
    cells = frames(excitation_grid(found))
    assert len(cells) == 10
    for image, cell in zip(found.images[:, 0], cells, strict=True):
        assert cell.shape == (112, 112, 3)
        expected = np.where(image > 0, 255, 0).repeat(16, 0).repeat(16, 1)
        assert (cell == expected[..., None]).all()


def test_three_channels_are_red_green_and_blue():
    found = excitation(1, (3, 7, 7))
    (cell,) = frames(excitation_grid(found))
    assert (cell[::16, ::16] == np.where(np.moveaxis(found.images[0].numpy(), 0, -1) > 0, 255, 0)).all()


@pytest.mark.parametrize(("size", "width"), [((8,), 8), ((2, 8), 8), ((1, 3, 8, 8), 8), ((5, 8, 8), 8)])
def test_inputs_of_every_rank_are_drawn(size, width):
    for cell in frames(excitation_grid(excitation(2, size))):
        assert cell.shape[1] == 14 * width
        assert len(cell) >= 8


@pytest.mark.parametrize(("count", "rows"), [(1, [1]), (8, [8]), (9, [5, 4]), (10, [5, 5]), (64, [8] * 8)])
def test_units_stand_in_even_rows(count, rows):
    picture = excitation_grid(excitation(count, (1, 112, 112)))
    assert picture.shape[1] <= 8 * 128 + 8
    assert len(frames(picture)) == count
    grey = (picture == 120).all(-1)
    tops = np.flatnonzero(grey[:, 8 + 3 : 8 + 3 + 114].all(axis=1))[::2]  # each frame has a line above and one below
    assert [grey[top + 1].sum() // 2 for top in tops] == rows  # and one at either side


def test_what_a_unit_is_and_gives_stands_under_its_image():
    small = {"size": (1, 1, 16)}
    picture = excitation_grid(excitation(3, **small))
    assert written(picture, "unit 2")
    assert written(picture, "0.667")
    assert not written(picture[-120:], "at step 40")
    named = excitation_grid(excitation(3, status=["ok", "stalled at step 40", "ok"], **small), ["a", "b", "Sneaker"])
    assert written(named, "Sneaker")
    assert not written(named, "unit 2")
    assert written(named[-120:], "stalled")
    assert written(named[-120:], "at step 40")


def test_names_go_by_the_number_of_the_unit():
    names = [f"class {number}" for number in range(5)]
    picture = excitation_grid(excitation(2, (1, 1, 16), units=[3, 1], total=5), names)
    assert [written(picture, name) for name in names] == [False, True, False, True, False]


def test_title_method_and_what_is_left_out_are_written():
    picture = excitation_grid(excitation(3, total=84), title="fc2 · epoch 3 · step 9")
    assert written(picture, "fc2 · epoch 3 · step 9", size=15)
    assert written(picture, "what excites units most, and how much · 3 of 84 units, 81 left out")
    assert written(picture, Ascent().in_words())
    assert written(excitation_grid(excitation(3)), "what excites units most, and how much · 3 units")


def test_of_vectors_it_says_only_what_is_done():
    picture = excitation_grid(excitation(3, (8,)))
    assert written(picture, "200 steps from 0.4 standard deviations · decay 0.3")
    assert not written(picture, "200 steps from 0.4 standard deviations · gradient blurred")
    assert written(excitation_grid(excitation(3, (1, 8))), Ascent().in_words())


def test_a_single_unit_is_one():
    what = "what excites units most, and how much"
    assert written(excitation_grid(excitation(1, (1, 112, 112))), f"{what} · 1 unit")
    assert not written(excitation_grid(excitation(1, (1, 112, 112))), f"{what} · 1 units")
    assert written(excitation_grid(excitation(1, total=2)), f"{what} · 1 of 2 units, 1 left out")


def test_an_image_without_contrast_is_drawn():
    (cell,) = frames(excitation_grid(excitation(1, images=torch.ones(1, 1, 7, 7))))
    assert (cell == 0).all()


def test_names_of_another_number_than_units_are_refused():
    with pytest.raises(ValueError, match="expected a name for each of 84 units, got 2"):
        excitation_grid(excitation(3, total=84), ["a", "b"])
