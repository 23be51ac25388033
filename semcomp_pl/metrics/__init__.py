"""Metrics over images, and the one collection that judges every codec."""

from semcomp_pl.metrics.discriminator_fm import DiscriminatorFM
from semcomp_pl.metrics.feature_distance import FeatureDistance
from semcomp_pl.metrics.fid import FID, KID
from semcomp_pl.metrics.judgement import Judgement
from semcomp_pl.metrics.latent_iou import LatentIoU
from semcomp_pl.metrics.miou import MeanIoU
from semcomp_pl.metrics.ms_ssim import MeanMSSSIM
from semcomp_pl.metrics.perceptual import DISTS, LPIPS, MUSIQ
from semcomp_pl.metrics.psnr import MeanPSNR
from semcomp_pl.metrics.rate import MeanRate
from semcomp_pl.metrics.suite import MetricSuite

__all__ = [
    "DISTS",
    "FID",
    "KID",
    "LPIPS",
    "MUSIQ",
    "DiscriminatorFM",
    "FeatureDistance",
    "Judgement",
    "LatentIoU",
    "MeanIoU",
    "MeanMSSSIM",
    "MeanPSNR",
    "MeanRate",
    "MetricSuite",
]
