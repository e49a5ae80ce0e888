import numpy as np
import pytest

from lightning_cnnviz.functional.class_report import MAX_ROWS, confusion_matrix_chart
from lightning_cnnviz.functional.drawing.colours import DIVERGING
from lightning_cnnviz.functional.drawing.figure import render_figure
from lightning_cnnviz.functional.drawing.matrix_figure import matrix_figure


def test_cells_have_the_colours_of_the_picture_and_their_counts():
    counts = np.array([[9, 1, 0], [0, 0, 0], [4, 0, 12]])
    figure = matrix_figure(counts, ["cat", "dog", "$owl$"], title="epoch 3")
    axes = figure.axes[0]
    (mesh,) = axes.collections
    share = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    expected = np.sqrt(share) * np.where(np.eye(3, dtype=bool), -1, 1)
    np.testing.assert_allclose(mesh.get_array().reshape(3, 3), expected)
    colours = mesh.to_rgba(mesh.get_array())[..., :3].reshape(3, 3, 3)
    middle = DIVERGING[len(DIVERGING) // 2] / 255
    np.testing.assert_allclose(colours[1], np.broadcast_to(middle, (3, 3)))
    assert colours[0, 0, 2] > colours[0, 0, 0]  # right is blue
    assert colours[2, 0, 0] > colours[2, 0, 2]  # wrong is red
    assert [text.get_text() for text in axes.texts] == [str(count) for count in counts.ravel()]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", r"\$owl\$"]
    assert axes.get_ylim() == (2.5, -0.5)  # the first class at the top


@pytest.mark.parametrize("classes", [2, 20, 21, 200])
def test_any_number_of_classes_is_drawn(classes):
    counts = np.random.default_rng(0).integers(0, 50, (classes, classes))
    names = [f"class number {k}" for k in range(classes)]
    figure = confusion_matrix_chart(counts, names, title="t", as_figure=True)
    assert len(figure.axes[0].texts) == (classes**2 if classes <= 20 else 0)
    assert len(figure.axes[0].get_yticklabels()) <= 60
    assert render_figure(figure).std() > 10
    accuracy = f"accuracy {100 * counts.trace() / counts.sum():.2f} % of {counts.sum()} samples"
    assert figure.axes[0].get_title(loc="left") == f"t\n{accuracy}"


def test_too_many_classes_for_a_figure_are_told():
    classes = MAX_ROWS + 1
    with pytest.raises(ValueError, match="expected at most 1000 classes for a figure, got 1001"):
        confusion_matrix_chart(np.eye(classes, dtype=int), [str(k) for k in range(classes)], as_figure=True)
