"""What a waiting job holds, in bytes, against what is known of the tensors in it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from lightning_cnnviz.output.owned import owned_bytes


def test_arrays_and_tensors_count_wherever_they_are():
    tensor, array = torch.zeros(10, 3), np.zeros(7)
    draw = partial(print, tensor, {"maps": [array]}, title="a title")
    assert owned_bytes(draw) == 120 + 56
    assert owned_bytes(partial(draw, more=(torch.zeros(2, dtype=torch.uint8),))) == 120 + 56 + 2


def test_what_is_shared_counts_once_and_views_with_all_they_keep():
    tensor, array = torch.zeros(100, 10), np.zeros((100, 10), dtype=np.float32)
    assert owned_bytes([tensor, tensor[:2], tensor.T, tensor.detach()]) == 4000
    assert owned_bytes([array[3], array.T, array]) == 4000
    assert owned_bytes([tensor[5]]) == 4000


def test_functions_count_with_what_they_have_closed_over():
    tensor = torch.zeros(5)

    array = np.zeros(3)

    def draw(again=array):
        return tensor, again, later

    assert owned_bytes(draw) == 20 + 24
    later = 1


@dataclass
class Layout:
    points: np.ndarray
    title: str = ""


class Callback:
    def __init__(self):
        self.history = torch.zeros(1000)

    def compute(self, layers):
        return layers


def test_dataclasses_count_and_objects_that_live_on_do_not():
    assert owned_bytes(Layout(np.zeros((4, 2)))) == 64
    assert owned_bytes(partial(Callback().compute, {"fc": torch.zeros(3)})) == 12


def test_tensors_without_a_storage_of_their_own_count_too():
    assert owned_bytes(torch.eye(4).to_sparse()) > 0
    assert owned_bytes(torch.zeros(6, device="meta")) >= 0


def test_a_list_that_contains_itself_ends():
    endless = [np.zeros(2)]
    endless.append(endless)
    assert owned_bytes(endless) == 16
