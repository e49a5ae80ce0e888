"""
Predictions and confusion matrix
================================

Which classes are taken for which, and the images that go wrong.
"""

from PIL import Image
from sklearn.metrics import confusion_matrix

from digits_cnn import CLASS_NAMES, load, trained
from lightning_cnnviz.functional import confusion_matrix_chart, prediction_sheet, record

model, _ = trained()
images, labels = load().images, load().labels
confidence, predicted = record(model, images, []).output.softmax(dim=1).max(dim=1)

Image.fromarray(
    confusion_matrix_chart(
        confusion_matrix(labels, predicted), CLASS_NAMES, title="held-out digits"
    )
)

# %%
# The mistakes of which the model is most certain tell most: wrong labels, classes that look alike,
# odd images.
wrong = (predicted != labels).nonzero().flatten()
worst = wrong[confidence[wrong].argsort(descending=True)][:10]
sheet = [part[worst] for part in (images, labels, predicted, confidence)]

Image.fromarray(prediction_sheet(*sheet, CLASS_NAMES, title="most confident mistakes"))

# %%
# The accuracy of each class as numbers:
from lightning_cnnviz.functional import class_accuracies

for name, accuracy in zip(
    CLASS_NAMES, class_accuracies(confusion_matrix(labels, predicted)), strict=True
):
    print(f"{name}: {accuracy:.1%}")
