"""A hook stays within the model if nothing else is within its reach."""

import pytest
from torch import nn
from torch.nn.utils import prune

from lightning_cnnviz.model.hook_reach import stays_inside

HEARD = []


class Listening(nn.Linear):
    def hear(self, *_):
        self.heard = True


def of_a_layer(layer):
    return lambda *_: setattr_of(layer)


def setattr_of(layer):
    layer.heard = True


@pytest.mark.parametrize(
    ("hook", "inside"),
    [
        (lambda _, __, result: 0.5 * result, True),
        (Listening(2, 2).hear, True),
        (prune.L1Unstructured(0.5), True),
        (lambda *_: HEARD.append(1), False),
        (lambda *_: print("called"), False),
        (of_a_layer(nn.Linear(2, 2)), False),
        (HEARD.append, False),
    ],
)
def test_it_is_told_by_what_a_hook_refers_to(hook, inside):
    assert stays_inside(hook) == inside
