"""Image metrics, the facts about each, and the collection that measures all codecs."""

from semcomp_pl.metrics.catalogue import EXTRAS, SETS, Extra, describe, is_detail, ordered, perceptual
from semcomp_pl.metrics.discriminator_fm import DiscriminatorFM
from semcomp_pl.metrics.facts import MetricFacts
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
    "EXTRAS",
    "FID",
    "KID",
    "LPIPS",
    "MUSIQ",
    "SETS",
    "DiscriminatorFM",
    "Extra",
    "FeatureDistance",
    "Judgement",
    "LatentIoU",
    "MeanIoU",
    "MeanMSSSIM",
    "MeanPSNR",
    "MeanRate",
    "MetricFacts",
    "MetricSuite",
    "describe",
    "is_detail",
    "ordered",
    "perceptual",
]
