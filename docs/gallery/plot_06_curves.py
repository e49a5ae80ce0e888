"""
Loss and accuracy curves
========================

Training and validation in one chart, the best epoch ringed.
"""

from PIL import Image

from digits_cnn import trained
from lightning_cnnviz.functional import Point, curve_chart

_, history = trained()


def points(values):
    """One point per epoch, of 23 steps each."""
    return [Point(epoch, 23 * epoch, value) for epoch, value in enumerate(values, start=1)]


train, val = points(history.train_loss), points(history.val_loss)
Image.fromarray(curve_chart(train, val, quantity="loss", title="loss"))

# %%
# For a paper, ``as_figure=True`` returns the matplotlib figure, to be restyled and saved as a
# vector graphic. The other charts (gradients, input partition) take it too.
figure = curve_chart(train, val, quantity="loss", as_figure=True)
axes = figure.axes[0]
figure.set_size_inches(4.5, 2.8)
figure.set_dpi(150)
axes.set_yscale("log")
axes.set_xlabel("Epoch")
axes.set_ylabel("Cross-entropy")
axes.grid(visible=False)
axes.spines[["top", "right"]].set_visible(False)
for line, colour in zip(axes.get_lines(), ("black", "tab:red"), strict=False):
    line.set_color(colour)
axes.legend(frameon=False)
figure
