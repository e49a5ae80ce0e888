import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import ndimage

from lightning_cnnviz.functional.curves import Point, best_point, curve_chart, find_metric, metric_variant
from lightning_cnnviz.functional.drawing.figure import render_figure

nan, inf = np.nan, np.inf
BLUE, ORANGE = (63, 144, 218), (255, 169, 14)


pytestmark = pytest.mark.usefixtures("no_warnings")

# ---- which metric is which


@pytest.mark.parametrize(
    ("name", "quantity", "stage"),
    [
        # Lightning's examples and templates
        ("train_loss", "loss", "train"),
        ("val_loss", "loss", "val"),
        ("train/loss", "loss", "train"),
        ("train/loss_epoch", "loss", "train"),
        ("val/loss", "loss", "val"),
        ("valid_loss", "loss", "val"),
        ("validation/loss", "loss", "val"),
        ("validation_loss_epoch", "loss", "val"),
        ("val_acc", "accuracy", "val"),
        ("val/acc", "accuracy", "val"),
        ("val_accuracy", "accuracy", "val"),
        ("acc/val", "accuracy", "val"),
        ("Loss/train", "loss", "train"),
        ("Accuracy/validation", "accuracy", "val"),
        ("train.loss", "loss", "train"),
        ("train-acc", "accuracy", "train"),
        ("train loss", "loss", "train"),
        ("trainLoss", "loss", "train"),
        ("valAcc", "accuracy", "val"),
        ("ValLoss", "loss", "val"),
        ("VAL_LOSS", "loss", "val"),
        ("valACC", "accuracy", "val"),
        ("dev_acc", "accuracy", "val"),
        ("avg_val_loss", "loss", "val"),
        ("val_loss/dataloader_idx_0", "loss", "val"),
        # without a stage: of whichever has logged it
        ("loss", "loss", None),
        ("acc", "accuracy", None),
        # torchmetrics
        ("MulticlassAccuracy", "accuracy", None),
        ("val_MulticlassAccuracy", "accuracy", "val"),
        ("val/BinaryAccuracy", "accuracy", "val"),
        ("train_accuracy_epoch", "accuracy", "train"),
        # timm and Hugging Face
        ("eval_loss", "loss", "val"),
        ("eval_accuracy", "accuracy", "val"),
        ("eval_top1", "accuracy", "val"),
        ("top1_val", "accuracy", "val"),
        ("val_acc1", "accuracy", "val"),
        ("val/acc@1", "accuracy", "val"),
        # names of losses
        ("val_nll", "loss", "val"),
        ("train_ce", "loss", "train"),
        ("val_ce_loss", "loss", "val"),
        ("train_CrossEntropyLoss", "loss", "train"),
        ("val_NLLLoss", "loss", "val"),
        ("val_BCELoss", "loss", "val"),
        ("val_cross_entropy", "loss", "val"),
        ("evaluation/loss", "loss", "val"),
        ("validate_loss", "loss", "val"),
        ("train_crossentropy", "loss", "train"),
    ],
)
def test_a_metric_is_found_under_its_usual_names_and_taken_for_nothing_else(name, quantity, stage):
    names = ["lr-Adam", name, "epoch"]
    for asked in ("loss", "accuracy"):
        for when in ("train", "val"):
            expected = name if asked == quantity and stage in (when, None) else None
            assert find_metric(names, asked, when) == expected


@pytest.mark.parametrize(
    "name",
    [
        "test_loss",
        "test/acc",
        "testLoss",
        "predict_loss",
        "lr",
        "lr-SGD",
        "lossless_ratio",
        "val_lossless",
        "glossary",
        "accumulated",
        "val_f1",
        "val_auroc",
        "val_top5",
        "val_top5_acc",
        "val/acc_top_3",
        "val/acc@5",
        "val_acc5",
        "best_val_acc",
        "val_acc_best",
        "val_acc_max",
        "ema_val_acc",
        "val_error",
        "epoch",
        "hp_metric",
        "train_val_loss_gap",
        "",
    ],
)
def test_other_metrics_are_neither(name):
    found = [find_metric([name], quantity, stage) for quantity in ("loss", "accuracy") for stage in ("train", "val")]
    assert found == [None] * 4


@pytest.mark.parametrize("name", ["val1_loss", "val2/loss", "val_0_loss", "test2_loss", "eval1_loss", "valid2_loss"])
def test_a_numbered_validation_or_test_set_is_no_training(name):
    assert find_metric([name], "loss", "train") is None


@pytest.mark.parametrize(
    ("names", "quantity", "stage", "expected"),
    [
        (["val/acc_step", "val/acc_epoch"], "accuracy", "val", "val/acc_epoch"),
        (["train_loss_step", "train_loss", "train_loss_epoch"], "loss", "train", "train_loss"),
        (["train_loss_step", "train_loss_epoch"], "loss", "train", "train_loss_epoch"),
        (["train_loss_step"], "loss", "train", "train_loss_step"),
        (["train_step_loss", "train_epoch_mean_loss"], "loss", "train", "train_epoch_mean_loss"),
        (["val_loss_head_b", "val_loss"], "loss", "val", "val_loss"),
        (["val/acc_best", "val/acc"], "accuracy", "val", "val/acc"),
        (["best_val_acc", "val_acc"], "accuracy", "val", "val_acc"),
        (["val_loss/dataloader_idx_1", "val_loss/dataloader_idx_0"], "loss", "val", "val_loss/dataloader_idx_0"),
        (["val_top5_acc", "val_top1_acc"], "accuracy", "val", "val_top1_acc"),
        (["val_loss", "loss", "test_loss"], "loss", "train", "loss"),
        (["val_macro_acc", "val_acc"], "accuracy", "val", "val_acc"),
        (["val_loss", "loss", "test_loss"], "loss", "val", "val_loss"),
        (["loss", "acc", "test_loss"], "loss", "val", "loss"),
        # What names its stage comes before what does not.
        (["loss", "train_loss"], "loss", "train", "train_loss"),
        (["loss_scale", "train_loss"], "loss", "train", "train_loss"),
        (["aux_loss", "train/loss"], "loss", "train", "train/loss"),
        (["loss_reg", "train/loss_epoch"], "loss", "train", "train/loss_epoch"),
        # A total comes before its parts.
        (["val_aux_loss", "val_total_loss"], "loss", "val", "val_total_loss"),
    ],
)
def test_of_several_the_plainest_is_taken_in_whatever_order_they_come(names, quantity, stage, expected):
    assert find_metric(names, quantity, stage) == expected
    assert find_metric(reversed(names), quantity, stage) == expected


@pytest.mark.parametrize(
    ("name", "quantity", "variant"),
    [
        ("val_acc", "accuracy", ()),
        ("val/MulticlassAccuracy_epoch", "accuracy", ()),
        ("val_balanced_acc", "accuracy", ("balanced",)),
        ("val_acc_macro/dataloader_idx_1", "accuracy", ("macro",)),
        ("train_focal_loss", "loss", ("focal",)),
        ("train_total_loss", "loss", ()),
    ],
)
def test_the_variant_of_a_metric_is_what_its_name_says_beyond_quantity_and_stage(name, quantity, variant):
    assert metric_variant(name, quantity) == variant


def test_only_metrics_of_the_variant_asked_for_are_found():
    names = ["train_acc", "train_macro_acc"]
    assert find_metric(names, "accuracy", "train", ("macro",)) == "train_macro_acc"
    assert find_metric(names, "accuracy", "train", ()) == "train_acc"
    assert find_metric(names, "accuracy", "train", ("micro",)) is None


def test_the_legend_names_the_metrics():
    points = [Point(1, 60, 0.7), Point(2, 120, 0.9)]
    labels = []
    for metrics in (None, {"train": "computed here", "val": "val_balanced_acc"}):
        figure = curve_chart(points, points, quantity="accuracy", metrics=metrics, as_figure=True)
        labels.append([text.get_text() for text in figure.axes[0].get_legend().get_texts()][:2])
    assert labels == [["train", "val"], ["train: computed here", "val: val_balanced_acc"]]


def test_without_names_nothing_is_found():
    assert find_metric([], "loss", "train") is None


# ---- the best epoch


def points(*values):
    return [Point(epoch, 60 * epoch, value) for epoch, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("values", "quantity", "best"),
    [
        ([3, 1, 2], "loss", 2),
        ([3, 1, 2], "accuracy", 1),
        ([1, 3, 3], "accuracy", 2),
        ([2, 1, 1], "loss", 2),
        ([nan, 0.5, nan], "loss", 2),
        ([inf, 0.5, -inf], "loss", 2),
        ([-inf, 0.5, inf], "accuracy", 2),
        ([-3, -1, -2], "loss", 1),
        ([0.0], "accuracy", 1),
    ],
)
def test_best_is_the_lowest_loss_or_the_highest_accuracy_the_first_of_equals(values, quantity, best):
    assert best_point(points(*values), quantity).epoch == best


@pytest.mark.parametrize("values", [[], [nan], [nan, inf]])
def test_without_a_finite_value_none_is_best(values):
    assert best_point(points(*values), "loss") is None


# ---- the chart


def has(picture, colour):
    return bool((picture == colour).all(-1).any())


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ([], []),
        ([1.0], []),
        ([], [1.0]),
        ([1.0, 0.5, 0.2], [0.9, 0.6, 0.4]),
        ([1.0, nan, 0.2], [nan, 0.6, nan]),
        ([nan], [nan]),
        ([nan, nan, nan], []),
        ([inf, 1.0, 2.0], [1.0, -inf, 1.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1e30, 1e-30], [1e38, 0.0]),
        (list(np.linspace(1, 0, 500)), list(np.linspace(1, 0.2, 500))),
    ],
)
@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_a_chart_is_drawn_without_a_warning_whatever_the_points(train, val, quantity):
    picture = curve_chart(points(*train), points(*val), quantity=quantity, title="title")
    assert picture.shape == (400, 700, 3)
    assert picture.dtype == np.uint8


def test_both_curves_are_there_and_keep_their_colours_when_alone():
    both = curve_chart(points(1.0, 0.5), points(0.9, 0.6), quantity="loss")
    assert has(both, BLUE)
    assert has(both, ORANGE)
    assert not has(curve_chart(points(1.0, 0.5), [], quantity="loss"), ORANGE)
    alone = curve_chart([], points(0.9, 0.6), quantity="loss")
    assert has(alone, ORANGE)
    assert not has(alone, BLUE)


def test_the_curve_goes_through_its_points():
    values = [1.0, 0.0, 0.5, 0.25, 0.75]
    picture = curve_chart(points(*values), points(-1.0), quantity="loss")  # the ring is around the other curve
    areas, _ = ndimage.label((picture == BLUE).all(-1), structure=np.ones((3, 3)))
    rows, columns = np.nonzero(areas == np.bincount(areas.ravel())[1:].argmax() + 1)
    height, width = rows.max() - rows.min(), columns.max() - columns.min()
    for epoch, value in enumerate(values):
        row = rows.min() + (1 - value) * height
        column = columns.min() + epoch / 4 * width
        assert (np.hypot(rows - row, columns - column) < 6).any()


def test_the_best_of_validation_is_ringed_where_there_is_one():
    train, val = points(0.1, 0.9), points(0.5, 0.4)
    ringed = curve_chart(train, val, quantity="loss")
    for changed in (points(0.5, 0.41), points(0.39, 0.4)):
        assert not np.array_equal(ringed, curve_chart(train, changed, quantity="loss"))
    # Two lists of points that differ only in which end is the better one for the quantity
    assert not np.array_equal(
        curve_chart([], points(0.2, 0.4), quantity="loss"), curve_chart([], points(0.2, 0.4), quantity="accuracy")
    )


def test_the_axis_is_in_epochs_where_they_have_a_length():
    once, twice = points(0.9, 0.5, 0.4), [point._replace(step=2 * point.step) for point in points(0.9, 0.5, 0.4)]
    assert np.array_equal(curve_chart(once, once, quantity="loss"), curve_chart(twice, twice, quantity="loss"))
    stretched = [point._replace(epoch=point.epoch**2) for point in once]
    assert not np.array_equal(
        curve_chart(once, once, quantity="loss"), curve_chart(stretched, stretched, quantity="loss")
    )


def test_where_epochs_have_no_length_the_axis_is_in_steps():
    unknown = [point._replace(epoch=nan) for point in points(0.9, 0.5)]
    picture = curve_chart(unknown, unknown, quantity="loss")
    assert has(picture, ORANGE)
    assert not np.array_equal(picture, curve_chart(points(0.9, 0.5), points(0.9, 0.5), quantity="loss"))
    mixed = curve_chart(points(0.9, 0.5), unknown, quantity="loss")
    assert np.array_equal(mixed, picture)


@pytest.mark.parametrize("val", [[], [Point(1, 60, 0.6), Point(2, 120, 0.4)]], ids=["training only", "both"])
def test_the_figure_shows_what_the_picture_shows(val):
    train = [Point(1, 60, 0.7), Point(2, 120, 0.5)]
    figure = curve_chart(train, val, quantity="loss", title="$5", as_figure=True)
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    *lines, ring = axes.lines
    for line, points_of_stage in zip(lines, filter(None, (train, val)), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [point.epoch for point in points_of_stage])
        np.testing.assert_array_equal(line.get_ydata(), [point.value for point in points_of_stage])
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (2, 0.4 if val else 0.5)
    assert axes.get_title("left") == r"\$5"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epochs completed", "loss")
    before = render_figure(figure)
    axes.set_title("mine")  # to be restyled by its user
    assert not np.array_equal(render_figure(figure), before)


@pytest.mark.parametrize("others", [["val_AverageAccuracy"], ["val_macro_accuracy", "val_balanced_accuracy"]])
def test_of_an_overall_and_an_average_accuracy_the_overall_one_is_found(others):
    assert find_metric([*others, "val_OverallAccuracy"], "accuracy", "val") == "val_OverallAccuracy"
    assert find_metric(others[:1], "accuracy", "val") == others[0]
