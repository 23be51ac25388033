"""Loss functions, from tensors to scalars."""

from semcomp_pl.losses.adversarial import (
    feature_matching,
    least_squares_discriminator,
    least_squares_generator,
)
from semcomp_pl.losses.distortion import absolute_distortion, mse_distortion, range_penalty, structural_dissimilarity
from semcomp_pl.losses.semantic import semantic_cross_entropy, semantic_divergence, semantic_feature_distance

__all__ = [
    "absolute_distortion",
    "feature_matching",
    "least_squares_discriminator",
    "least_squares_generator",
    "mse_distortion",
    "range_penalty",
    "semantic_cross_entropy",
    "semantic_divergence",
    "semantic_feature_distance",
    "structural_dissimilarity",
]
