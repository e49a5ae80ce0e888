import numpy as np
import pytest

from lightning_cnnviz.model.field_axis import NOTHING, Axis, union


def places(axis):
    return list(zip(axis.low.tolist(), axis.high.tolist(), strict=True))


def test_windows_are_clipped_at_every_layer_and_not_only_at_the_border():
    # Of 8 pixels the strided layer reads those of even number; its neighbour's padding hides nothing of the last.
    strided = Axis.of_image(8).windows(kernel=1, stride=2, padding=0, dilation=1, places=4)
    assert places(strided) == [(0, 0), (2, 2), (4, 4), (6, 6)]
    after = strided.windows(kernel=3, stride=1, padding=1, dilation=1, places=4)
    assert places(after) == [(0, 2), (0, 4), (2, 6), (4, 6)]
    assert (after.start, after.step, after.size) == (-2, 2, 5)
    assert after.first().tolist() == [-2, 0, 2, 4]


def test_a_window_of_padding_alone_sees_nothing():
    axis = Axis.of_image(3).windows(kernel=1, stride=1, padding=1, dilation=1, places=5)
    assert places(axis) == [(NOTHING, -1), (0, 0), (1, 1), (2, 2), (NOTHING, -1)]


def test_a_field_larger_than_the_image_is_the_image():
    axis = Axis.of_image(4).windows(kernel=9, stride=1, padding=4, dilation=1, places=4)
    assert (axis.extent, axis.first().tolist()) == (4, [0, 0, 0, 0])


@pytest.mark.parametrize(("number", "made"), [(6, 3), (7, 3), (5, 2), (3, 5)])
def test_adaptive_pooling_divides_as_pytorch_does(number, made):
    found = places(Axis.of_image(number).pooled_to(made))
    assert found == [(i * number // made, -(-(i + 1) * number // made) - 1) for i in range(made)]


def test_adaptive_pooling_to_equal_parts_is_a_pooling():
    pooled = Axis.of_image(6).pooled_to(3)
    assert pooled.first().tolist() == Axis.of_image(6).windows(2, 2, 0, 1, 3).first().tolist()


def test_transposed_windows_are_those_that_reach_a_place():
    axis = Axis.of_image(3).transposed(kernel=3, stride=2, padding=1, dilation=1, places=5)
    assert places(axis) == [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)]
    assert axis.size == 0


def test_upsampling_reads_one_place_or_its_two_neighbours():
    image = Axis.of_image(2)
    assert places(image.interpolated(4, linear=False)) == [(0, 0), (0, 0), (1, 1), (1, 1)]
    assert places(image.interpolated(4, linear=True)) == [(0, 0), (0, 1), (0, 1), (1, 1)]


def test_padding_repeats_what_its_mode_repeats():
    image = Axis.of_image(3)
    assert image.padded(2, 1, "reflect").low.tolist() == [2, 1, 0, 1, 2, 1]
    assert image.padded(1, 1, "replicate").low.tolist() == [0, 0, 1, 2, 2]
    assert image.padded(1, 1, "circular").low.tolist() == [2, 0, 1, 2, 0]
    assert image.padded(1, -1, "constant").high.tolist() == [-1, 0, 1]
    assert image.padded(1, -1, "constant").start == -1


def test_a_union_of_other_steps_has_no_common_size():
    image = Axis.of_image(4)
    strided = image.windows(kernel=2, stride=2, padding=2, dilation=1, places=4)
    assert union([image, strided]).size == 0
    assert np.array_equal(union([image, image]).low, image.low)


def test_the_whole_image():
    assert places(Axis.whole(2, 5)) == [(0, 4), (0, 4)]
    assert Axis.whole(2, 5).extent == 5
