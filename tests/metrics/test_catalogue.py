"""What is known of each metric: labels, units, directions and order, and that it agrees with its class."""

from typing import get_args

import pytest
from torchmetrics import Metric

from semcomp_pl.metrics import EXTRAS, SETS, Extra, MeanIoU, describe, is_detail, ordered, perceptual
from semcomp_pl.metrics.catalogue import CLASSES, FACTS
from semcomp_pl.metrics.fid import fid, kid


@pytest.mark.parametrize(
    ("name", "axis", "higher"),
    [
        ("psnr", "PSNR (dB)", True),
        ("ms_ssim", "MS-SSIM", True),
        ("ms_ssim_4", "MS-SSIM (4 scales)", True),
        ("lpips", "LPIPS", False),
        ("iou_traffic sign", "IoU traffic sign", True),
        ("latent_iou", "Latent IoU", None),
        ("latent_iou_2", "Latent IoU of channel 2", None),
        ("novel", "novel", None),
    ],
)
def test_descriptions(name: str, axis: str, higher: bool | None) -> None:
    assert (describe(name).axis, describe(name).higher_is_better) == (axis, higher)


def test_torchmetrics_and_the_facts_agree_on_what_is_better() -> None:
    kinds = [one for one in CLASSES if issubclass(one, Metric)]
    assert len(kinds) == len(CLASSES) - 1  # all but `Judgement`, which counts with `MeanIoU`
    for kind in kinds:
        assert {one.higher_is_better for one in kind.facts.values()} == {kind.higher_is_better}, kind
    assert MeanIoU.higher_is_better == describe("miou").higher_is_better


def test_order_is_by_kind_with_the_unknown_last() -> None:
    assert ordered({"novel", "miou", "lpips", "ms_ssim_4", "psnr"}) == ["psnr", "ms_ssim_4", "lpips", "miou", "novel"]
    kinds = [one.kind for one in FACTS.values()]
    assert list(dict.fromkeys(kinds)) == ["rate", "distortion", "perception", "semantics"]
    assert kinds == sorted(kinds, key=list(dict.fromkeys(kinds)).index)


def test_the_first_metric_of_perception_stands_for_it() -> None:
    assert perceptual({"psnr", "musiq", "miou", "feature_distance", "lpips"}) == ["lpips", "feature_distance", "musiq"]


def test_originals_are_perfect_by_definition_in_some_metrics() -> None:
    names = ("psnr", "lpips", "musiq", "accuracy", "miou", "miou_agreement", "iou_sky")
    assert [name for name in names if describe(name).ceiling] == ["musiq", "accuracy", "miou", "iou_sky"]


def test_details_are_the_figures_of_classes_and_channels() -> None:
    names = ("miou", "iou_sky", "latent_iou", "latent_iou_0", "ms_ssim_4", "novel")
    assert [name for name in names if is_detail(name)] == ["iou_sky", "latent_iou_0"]


def test_extra_metrics_are_those_that_the_suite_can_build_by_name() -> None:
    assert set(EXTRAS) == {"feature_distance", "lpips", "dists", "musiq", "fid", "kid"} == set(get_args(Extra))
    assert {"fid": fid, "kid": kid} == SETS
