"""Labels, units and directions."""

import pytest

from semcomp_pl.compare.names import describe, has_ceiling, ordered


@pytest.mark.parametrize(
    ("metric", "axis", "higher"),
    [
        ("psnr", "PSNR (dB)", True),
        ("ms_ssim", "MS-SSIM", True),
        ("ms_ssim_4", "MS-SSIM (4 scales)", True),
        ("lpips", "LPIPS", False),
        ("iou_traffic sign", "IoU traffic sign", True),
        ("latent_iou", "Latent IoU", None),
        ("novel", "novel", None),
    ],
)
def test_descriptions(metric: str, axis: str, higher: bool | None) -> None:
    assert (describe(metric).axis, describe(metric).higher_is_better) == (axis, higher)


def test_order_puts_the_unknown_last() -> None:
    assert ordered({"novel", "miou", "lpips", "ms_ssim_4", "psnr"}) == ["psnr", "ms_ssim_4", "lpips", "miou", "novel"]


def test_originals_are_perfect_by_definition_in_some_metrics() -> None:
    assert [name for name in ("psnr", "lpips", "miou", "miou_self", "iou_sky") if has_ceiling(name)] == [
        "miou",
        "iou_sky",
    ]
