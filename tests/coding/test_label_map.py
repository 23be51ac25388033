"""Label maps come back, whatever their size and classes, in fewer bytes than image formats take."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.coding.label_map import MIXED, SLOTS, UNIFORM, LabelCoder, fit_prior
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.nets.labels import majority

CAMVID_IGNORED = 11


def blocks(rng: np.random.Generator, classes: int, height: int, width: int) -> NDArray[np.uint8]:
    """A map of patches with some ignored cells."""
    coarse = rng.choice([*range(min(classes, 255)), 255], (1 + height // 5, 1 + width // 7))
    patches: NDArray[np.uint8] = coarse.repeat(5, 0).repeat(7, 1)[:height, :width].astype(np.uint8)
    return patches


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, 2, 11, 19, 171, 182, 255, 256]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["patches", "noise", "flat"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_maps_come_back(classes: int, height: int, width: int, kind: str, prior: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps: dict[str, NDArray[Any]] = {
        "patches": blocks(rng, classes, height, width),
        "noise": rng.integers(0, classes, (height, width)),
        "flat": np.full((height, width), rng.choice([0, classes - 1, 255])),
    }
    fitted = fit_prior(classes, [blocks(rng, classes, 16, 16) for _ in range(3)]) if prior else None
    coder = LabelCoder(classes, fitted)
    how, data = coder.encode(maps[kind])
    np.testing.assert_array_equal(coder.decode(how, data, height, width), maps[kind])
    assert len(data) <= coder.bound_bits(height * width) / 8 + 5
    assert len(data) <= 1.01 * coder.ideal_bits(how, maps[kind]) / 8 + 4


def test_large_maps_use_more_slots_and_come_back() -> None:
    label = blocks(np.random.default_rng(0), 19, 128, 200)
    coder = LabelCoder(19)
    how, data = coder.encode(label)
    assert how == MIXED
    np.testing.assert_array_equal(coder.decode(how, data, 128, 200), label)


def test_noise_is_not_modelled() -> None:
    label = np.random.default_rng(0).integers(0, 200, (30, 30))
    coder = LabelCoder(200)
    how, data = coder.encode(label)
    assert how == UNIFORM
    np.testing.assert_array_equal(coder.decode(how, data, 30, 30), label)


def test_a_prior_helps_on_maps_like_those_it_was_fitted_on() -> None:
    rng = np.random.default_rng(0)
    seen, new = ([blocks(rng, 4, 16, 32) for _ in range(n)] for n in (60, 20))
    prior = fit_prior(4, seen)
    assert prior.odds.shape == (10, SLOTS)
    with_prior, without = (sum(len(c.encode(m)[1]) for m in new) for c in (LabelCoder(4, prior), LabelCoder(4)))
    assert with_prior < 0.9 * without


@pytest.mark.parametrize("value", [4, 254, -1])
def test_an_id_outside_the_taxonomy_is_named(value: int) -> None:
    with pytest.raises(SemcompError, match=rf"label id {value} found, expected 0\.\.3 or 255"):
        LabelCoder(4).encode(np.array([[0, value]]))


@pytest.mark.parametrize("classes", [0, 257])
def test_numbers_of_classes_out_of_range_are_refused(classes: int) -> None:
    with pytest.raises(SemcompError, match="expected 1 to 256"):
        LabelCoder(classes)


def test_damage_is_an_error_or_another_map_of_the_same_size() -> None:
    rng = np.random.default_rng(0)
    coder, label = LabelCoder(5), blocks(rng, 5, 20, 30)
    how, data = coder.encode(label)
    for damaged in (data[:-1], data[: len(data) // 2], b"", bytes(len(data)), data[::-1], rng.bytes(len(data))):
        try:
            found = coder.decode(how, damaged, 20, 30)
            assert found.shape == (20, 30)
            assert (found != label).any()
            assert set(np.unique(found)) <= {*range(5), 255}
        except FileError:
            pass
    with pytest.raises(FileError, match="more than it can need"):
        coder.decode(how, bytes(10_000), 20, 30)
    with pytest.raises(FileError, match="label coder 9 found"):
        coder.decode(9, data, 20, 30)


def camvid_maps(root: Path, split: str, size: tuple[int, int] | None, step: int) -> list[NDArray[np.uint8]]:
    """Label maps of a split: whole, or the protocol's 2:1 frame by nearest samples, then by majority on a grid."""
    import torch

    maps = []
    for file in sorted((root / f"{split}annot").glob("*.png")):
        ids = np.asarray(Image.open(file))
        ids = np.where(ids == CAMVID_IGNORED, 255, ids)
        if size is not None:
            ids = ids[60:300]
            rows = ((np.arange(size[0]) + 0.5) * 240 / size[0]).astype(int)
            columns = ((np.arange(size[1]) + 0.5) * 480 / size[1]).astype(int)
            ids = ids[rows[:, None], columns]
        if step > 1:
            ids = majority(torch.from_numpy(ids.astype(np.int64))[None], 11, step)[0].numpy()
        maps.append(ids.astype(np.uint8))
    return maps


def size_of(maps: list[NDArray[np.uint8]], form: str, **options: Any) -> float:
    total = 0
    for label in maps:
        stream = io.BytesIO()
        Image.fromarray(label).save(stream, form, **options)
        total += len(stream.getvalue())
    return total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "step", "of_webp"), [((128, 256), 1, 0.5), ((128, 256), 8, 0.42), ((128, 256), 16, 0.42), (None, 1, 0.6)]
)
def test_camvid_maps_take_a_fraction_of_what_image_formats_take(
    real_data: Callable[[str], Path], size: tuple[int, int] | None, step: int, of_webp: float
) -> None:
    root = real_data("camvid")
    train = camvid_maps(root, "train", size, step)
    val = camvid_maps(root, "val", size, step)[::4]
    coder = LabelCoder(11, fit_prior(11, [*train, *(label[:, ::-1] for label in train)]))
    files = [coder.encode(label)[1] for label in val]
    total = sum(map(len, files))
    np.testing.assert_array_equal(coder.decode(MIXED, files[0], *val[0].shape), val[0])
    assert total < of_webp * size_of(val, "WEBP", lossless=True, quality=100, method=6)
    assert total < size_of(val, "PNG", optimize=True)
    pytest.importorskip("pillow_jxl", reason="no Pillow plug-in for JPEG XL; pip install 'semcomp_pl[jxl]'")
    assert total < size_of(val, "JXL", lossless=True, effort=9)
