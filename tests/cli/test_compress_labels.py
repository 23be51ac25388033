"""compress for models that send label maps: masks or a segmenter, and the regions of those that choose."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import semcomp_pl
from semcomp_pl.codecs.neural import NeuralCodec
from tests.cli.common import Run
from tests.lab import CLASSES, Lab, scene, tampered, write_png


def reader(checkpoint: Path) -> NeuralCodec:
    return semcomp_pl.load(checkpoint)


def test_label_maps_come_from_masks_or_from_a_segmenter(
    run: Run, lab: Lab, fitted: dict[str, Path], tmp_path: Path
) -> None:
    model = ["--model", str(fitted["conditional_gan"])]
    write_png(tmp_path / "a.png", scene(40, 60))
    (tmp_path / "masks").mkdir()
    mask = np.repeat([[0, 1, 3, 255]], 40, 0).repeat(15, 1).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    assert run("compress", "a.png", *model, "--labels", "masks")[0] == 0
    assert run("decompress", "a.smc", *model, "-o", "b.png")[0] == 0
    content = reader(fitted["conditional_gan"]).file.read((tmp_path / "a.smc").read_bytes())
    np.testing.assert_array_equal(content.labels, [[0, 1, 3, 255]] * 3)
    assert run("compress", "a.png", *model, "--segmenter", lab.segmenter, "--force")[0] == 0
    with Image.open(tmp_path / "a.png") as image:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    seen = semcomp_pl.load_segmenter(lab.segmenter).predict(pixels[None])[0]
    expected = reader(fitted["conditional_gan"]).compress(pixels, seen)
    assert (tmp_path / "a.smc").read_bytes() == expected
    Image.fromarray(mask[:, :30]).save(tmp_path / "masks/a.png")
    status, _, errors = run("compress", "a.png", *model, "--labels", "masks", "--force")
    assert status == 3
    assert "a mask of 30x40 found, expected 60x40" in errors


def test_segmenters_of_other_classes_are_refused(run: Run, lab: Lab, fitted: dict[str, Path], tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", scene(40, 60))
    wide = lab.checkpoint(lab.model("pspnet", num_classes=7), tmp_path / "wide.ckpt")
    status, _, errors = run("compress", "a.png", "--model", str(fitted["conditional_gan"]), "--segmenter", str(wide))
    assert status == 2
    assert "a segmenter of 7 classes found, expected 4" in errors


@pytest.fixture
def selective(fitted: dict[str, Path], tmp_path: Path) -> Path:
    """A SelectiveGAN that knows the names of its classes."""
    return tampered(fitted["selective_gan"], tmp_path / "model.ckpt", hyper_parameters={"class_names": CLASSES})


def test_it_keeps_synthesizes_and_boxes(run: Run, lab: Lab, selective: Path, tmp_path: Path) -> None:
    batch = lab.batch()
    image, label = batch["image"][0], batch["label"][0]
    write_png(tmp_path / "a.png", image)
    (tmp_path / "masks").mkdir()
    Image.fromarray(label.byte().numpy()).save(tmp_path / "masks/a.png")
    common = ["compress", "a.png", "--model", str(selective), "--labels", "masks", "--force"]
    chosen = torch.isin(label, torch.tensor([CLASSES.index("car"), CLASSES.index("road")]))
    box = torch.zeros_like(chosen)
    box[:16, :16] = True
    codec = reader(selective)
    expected = {
        (): None,
        ("--keep", "none"): torch.zeros_like(chosen),
        ("--keep", "car,road"): chosen,
        ("--keep", "3,2"): chosen,
        ("--synthesize", "car,road"): ~chosen,
        ("--box", "0,0,16,16"): box,
        ("--keep", "car,road", "--box", "0,0,16,16"): chosen | box,
    }
    for flags, keep in expected.items():
        assert run(*common, *flags)[0] == 0
        assert (tmp_path / "a.smc").read_bytes() == codec.compress(image, label, keep), flags
        assert run("decompress", "a.smc", "--model", str(selective), "-o", "b.png", "--force")[0] == 0
    _, said, _ = run("inspect", "a.smc", "--json")
    assert json.loads(said)["parts"].keys() == {"header", "labels", "heatmap", "latent"}


def test_regions_that_cannot_be_are_named(run: Run, lab: Lab, selective: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", scene(32, 64))
    common = ["compress", "a.png", "--model", str(selective), "--segmenter", lab.segmenter]
    for flags, message in (
        (["--keep", "zebra"], "class 'zebra' found, expected some of: sky, wall, road, car"),
        (["--keep", "car", "--synthesize", "sky"], "expected one of the two lists"),
        (["--box", "1,2,3"], "--box"),
    ):
        status, _, errors = run(*common, *flags)
        assert status == 2
        assert message in errors
    status, _, errors = run(*common, "--box", "60,0,16,16")
    assert status == 3
    assert "expected x,y,width,height inside an image of 64x32" in errors


def test_regions_for_models_that_code_whole_images_are_refused(
    run: Run, lab: Lab, fitted: dict[str, Path], tmp_path: Path
) -> None:
    write_png(tmp_path / "a.png", scene(32, 64))
    model = ["--model", str(fitted["conditional_gan"]), "--segmenter", lab.segmenter]
    status, _, errors = run("compress", "a.png", *model, "--keep", "1")
    assert status == 2
    assert "ConditionalGAN codes whole images; leave out the regions" in errors


def test_a_codec_in_layers_goes_through_all_commands(
    run: Run, lab: Lab, fitted: dict[str, Path], tmp_path: Path
) -> None:
    write_png(tmp_path / "a.png", scene(40, 60))
    model = ["--model", str(fitted["layered_codec"])]
    status, _, errors = run("compress", "a.png", *model)
    assert status == 2
    assert "LayeredCodec sends a label map" in errors
    assert run("compress", "a.png", *model, "--segmenter", lab.segmenter)[0] == 0
    assert run("decompress", "a.smc", *model, "-o", "b.png")[0] == 0
    _, said, _ = run("inspect", "a.smc")
    assert "thumbnail" in said
    assert "labels" in said
    assert run("export", str(fitted["layered_codec"]), "bundle")[0] == 0
    assert run("decompress", "a.smc", "--model", "bundle", "-o", "c.png")[0] == 0
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
