"""Thumbnails without loss: what a pixel's neighbours leave open, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcomp_pl.coding.ans import Symbols
from semcomp_pl.coding.latent import STATIC, UNIFORM, normalise
from semcomp_pl.coding.thumbnail import ThumbnailCoder, differences, restore


def picture(height: int, width: int, noise: int = 3, seed: int = 0) -> Symbols:
    """Soft colours (3, H, W) with a little noise."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, height)[:, None] + np.linspace(20, 90, width)
    pixels = ramp + rng.integers(0, 40, (3, 1, 1)) + rng.integers(-noise, noise + 1, (3, height, width))
    return pixels.clip(0, 255).astype(np.uint8)


def test_differences_are_as_written_down() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    found = differences(pixels).astype(int)
    for channel, row, column in np.ndindex(pixels.shape):

        def missed(c: int, row: int = row, column: int = column) -> int:
            above = int(pixels[c, row - 1, column]) if row else None
            left = int(pixels[c, row, column - 1]) if column else None
            known = [value for value in (above, left) if value is not None]
            return int(pixels[c, row, column]) - (sum(known) // len(known) if known else 0)

        expected = missed(channel) - (0 if channel == 1 else missed(1))
        assert found[channel, row, column] == expected % 256


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_every_picture_comes_back(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)
    assert np.array_equal(restore(differences(pixels)), pixels)
    coder = ThumbnailCoder(3, 256)
    how, data = coder.encode(pixels)
    assert how == UNIFORM
    assert np.array_equal(coder.decode(how, data, height, width), pixels)


def test_fitted_tables_shorten_what_is_soft() -> None:
    plain = ThumbnailCoder(3, 256)
    train = np.stack([picture(8, 16, seed=seed) for seed in range(1, 200)])
    fitted = ThumbnailCoder(3, 256, normalise(plain.count(train)))
    pixels = picture(8, 16)
    how, data = fitted.encode(pixels)
    assert how == STATIC
    assert len(data) < 0.6 * len(plain.encode(pixels)[1])
    assert fitted.ideal_bits(how, pixels) <= 8 * len(data) <= fitted.ideal_bits(how, pixels) + 8 * 5
    assert np.array_equal(fitted.decode(how, data, 8, 16), pixels)


@pytest.mark.parametrize("size", [(1, 1), (64, 128)])
def test_noise_costs_no_more_than_the_bound_and_five_bytes(size: tuple[int, int]) -> None:
    coder = ThumbnailCoder(3, 256, normalise(ThumbnailCoder(3, 256).count(picture(8, 16)[None])))
    noise = np.random.default_rng(1).integers(0, 256, (3, *size), dtype=np.uint8)
    assert len(coder.encode(noise)[1]) <= coder.bound_bits(*size) / 8 + 5
