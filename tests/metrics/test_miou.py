"""IoU comes from one confusion matrix of the data set, ignores 255 and tells absent classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as cityscapes
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import MeanIoU
from semcomp_pl.metrics.judgement import class_scores
from semcomp_pl.metrics.miou import confusion, image_confusions

CLASSES = 5


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    """Seven label maps with ignored pixels and a prediction that is right on about half of the others."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, CLASSES, (7, 16, 24), generator=generator)
    guess = torch.randint(0, CLASSES, label.shape, generator=generator)
    prediction = torch.where(torch.rand(label.shape, generator=generator) < 0.5, label, guess)
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return prediction, label


def counted(prediction: torch.Tensor, label: torch.Tensor) -> NDArray[np.int64]:
    """The confusion matrix, pixel by pixel."""
    matrix = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    for truth, guess in zip(label.flatten().tolist(), prediction.flatten().tolist(), strict=True):
        if truth != 255:
            matrix[truth, guess] += 1
    return matrix


def test_equals_the_evaluation_of_cityscapes(tmp_path: Path) -> None:
    """Its own script, on PNG files of its ids: nothing of class 3 is labelled or predicted, 255 is its `unlabeled`."""
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 19, (3, 24, 40), generator=generator)
    label[label == 3] = 4
    prediction = torch.where(torch.rand(label.shape, generator=generator) < 0.6, label, label.roll(5, dims=2))
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    ids = np.zeros(256, dtype=np.uint8)
    for known in cityscapes.labels:
        if 0 <= known.trainId < 255:
            ids[known.trainId] = known.id
    args = cityscapes.args
    args.evalLabels = []
    matrix = cityscapes.generateMatrix(args)
    args.evalPixelAccuracy = args.evalInstLevelScore = False
    for i, (guess, truth) in enumerate(zip(prediction.numpy(), label.numpy(), strict=True)):
        files = [str(tmp_path / f"{kind}{i}.png") for kind in ("guess", "truth")]
        for file, values in zip(files, (guess, truth), strict=True):
            Image.fromarray(ids[values]).save(file)
        cityscapes.evaluatePair(*files, matrix, {}, {}, args)
    scores = {known.name: cityscapes.getIouScoreForLabel(known.id, matrix, args) for known in cityscapes.labels}
    names = [cityscapes.trainId2label[index].name for index in range(19)]
    ours = class_scores(confusion(prediction, label, 19), names)
    assert ours["miou"].item() == pytest.approx(cityscapes.getScoreAverage(scores, args), abs=1e-12)
    found = {key: value.item() for key, value in ours.items() if key.startswith("iou_")}
    expected = {f"iou_{name.replace(' ', '_')}": score for name, score in scores.items() if not np.isnan(score)}
    assert found == pytest.approx(expected, abs=1e-12)
    assert "iou_wall" not in found
    assert ours["accuracy"].item() == pytest.approx((prediction == label)[label != 255].double().mean().item())


def test_images_are_counted_apart_and_add_up() -> None:
    prediction, label = maps()
    apart = image_confusions(prediction, label, CLASSES)
    assert apart.shape == (7, CLASSES, CLASSES)
    for i in range(7):
        np.testing.assert_array_equal(apart[i], counted(prediction[i], label[i]))
    np.testing.assert_array_equal(apart.sum(0), confusion(prediction, label, CLASSES))


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_equals_a_hand_written_confusion_matrix(batch: int) -> None:
    prediction, label = maps()
    matrix = counted(prediction, label)
    metric = MeanIoU(CLASSES)
    for start in range(0, 7, batch):
        metric.update(prediction[start : start + batch], label[start : start + batch])
    hits = np.diag(matrix)
    expected = hits / (matrix.sum(0) + matrix.sum(1) - hits)
    np.testing.assert_array_equal(confusion(prediction, label, CLASSES), matrix)
    np.testing.assert_allclose(metric.per_class(), expected, atol=1e-12)
    assert metric.compute().item() == pytest.approx(expected.mean(), abs=1e-12)


def test_absent_classes_are_nan_and_left_out_of_the_mean() -> None:
    metric = MeanIoU(4)
    metric.update(torch.tensor([[[0, 0, 2, 3]]]), torch.tensor([[[0, 0, 0, 255]]]))
    iou = metric.per_class()
    assert iou.isnan().tolist() == [False, True, False, True]  # 3 is predicted on an ignored pixel only
    assert iou[[0, 2]].tolist() == pytest.approx([2 / 3, 0.0])  # 2 is present: wrongly predicted
    assert metric.compute().item() == pytest.approx(1 / 3)


def test_nothing_to_judge_is_nan() -> None:
    metric = MeanIoU(2)
    metric.update(torch.zeros(1, 2, 2, dtype=torch.long), torch.full((1, 2, 2), 255))
    assert metric.compute().isnan()
    assert metric.per_class().isnan().all()


@pytest.mark.parametrize(
    ("prediction", "label", "message"),
    [
        (torch.tensor([[[0, 2]]]), torch.tensor([[[0, 1]]]), r"prediction ids 0\.\.2 found, expected 0\.\.1"),
        (torch.tensor([[[0, 1]]]), torch.tensor([[[0, 254]]]), r"label ids 0\.\.254 found, expected 0\.\.1"),
        (torch.tensor([[[-1, 1]]]), torch.tensor([[[0, 1]]]), r"prediction ids -1\.\.1 found"),
        (torch.tensor([[[0, 1]]]), torch.tensor([[[0], [1]]]), r"\(1, 1, 2\).*\(1, 2, 1\)"),
    ],
    ids=["prediction", "label", "negative", "shape"],
)
def test_ids_and_shapes_outside_the_taxonomy_are_refused(
    prediction: torch.Tensor, label: torch.Tensor, message: str
) -> None:
    with pytest.raises(SemcompError, match=message):
        MeanIoU(2).update(prediction, label)
