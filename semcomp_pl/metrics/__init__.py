"""Metrics over images, and the one collection that judges every codec."""

from semcomp_pl.metrics.miou import MeanIoU
from semcomp_pl.metrics.ms_ssim import MeanMSSSIM
from semcomp_pl.metrics.psnr import MeanPSNR
from semcomp_pl.metrics.rate import MeanRate
from semcomp_pl.metrics.suite import MetricSuite

__all__ = ["MeanIoU", "MeanMSSSIM", "MeanPSNR", "MeanRate", "MetricSuite"]
