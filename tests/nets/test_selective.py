"""Regions to keep, by classes and boxes."""

import pytest
import torch

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.selective import SelectiveNet

NAMES = ["sky", "wall", "road", "car"]
LABEL = torch.tensor([[[0, 1, 2, 3], [255, 1, 2, 3], [0, 0, 0, 0]]])


@pytest.fixture(scope="module")
def net() -> SelectiveNet:
    return SelectiveNet.of({"filters": 4, "blocks": 0, "num_classes": 4, "class_names": NAMES})


def test_classes_by_names_and_ids(net: SelectiveNet) -> None:
    assert torch.equal(net.region(LABEL, keep=["car", "0"]), (LABEL == 3) | (LABEL == 0))
    assert torch.equal(net.region(LABEL, synthesize=["car", "sky"]), (LABEL == 1) | (LABEL == 2) | (LABEL == 255))
    assert not net.region(LABEL, keep=[]).any()
    assert net.region(LABEL, synthesize=[]).all()


def test_boxes_are_kept_beside_classes(net: SelectiveNet) -> None:
    expected = LABEL == 3
    expected[:, 1:3, 0:2] = True
    assert torch.equal(net.region(LABEL, keep=["car"], boxes=[(0, 1, 2, 2)]), expected)
    assert net.region(LABEL, boxes=[(0, 0, 4, 3)]).all()


@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, 0, 0, 1), (3, 0, 2, 1), (0, 2, 1, 2)])
def test_boxes_outside_the_image_are_refused(net: SelectiveNet, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(SemcompError, match="expected x,y,width,height inside an image of 4x3"):
        net.region(LABEL, boxes=[box])


def test_unknown_classes_and_both_lists_are_refused(net: SelectiveNet) -> None:
    with pytest.raises(SemcompError, match="class 'zebra' found, expected some of: sky, wall, road, car"):
        net.region(LABEL, keep=["zebra"])
    with pytest.raises(SemcompError, match="expected one of the two lists"):
        net.region(LABEL, keep=["car"], synthesize=["sky"])
