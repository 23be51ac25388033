"""SelectiveGAN: what is kept is coded, what is not is neither coded nor decoded, and F makes it up from labels."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from semcomp_pl.cli import main
from semcomp_pl.coding.container import Kind, parse
from semcomp_pl.coding.context import neutral
from semcomp_pl.coding.heatmap import CLASSES as BY_CLASS
from semcomp_pl.training.entropy import fit_entropy
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.losses import mse_distortion
from semcomp_pl.nets.labels import boundaries
from semcomp_pl.modules.selective import SelectiveGAN, random_box, random_instances
from tests.modules.conftest import CLASSES, Lab


@pytest.fixture(scope="module")
def trained(lab: Lab) -> SelectiveGAN:
    model: SelectiveGAN = lab.model("selective_gan", class_names=CLASSES)
    lab.fit(model)
    fit_entropy(model, lab.data(), steps=10, passes=1)
    return model.eval()


def scene(lab: Lab) -> tuple[torch.Tensor, torch.Tensor]:
    batch = lab.batch()
    return batch["image"][0], batch["label"][0]


def sections(data: bytes) -> dict[Kind, bytes]:
    return {section.kind: section.data for section in parse(data).sections}


@pytest.mark.parametrize("size", [(32, 64), (40, 50), (17, 1)])
@pytest.mark.parametrize("downsamplings", [3, 4])
@pytest.mark.parametrize("label_map", ["grid", "full"])
def test_a_region_comes_back_from_bytes_alone(
    lab: Lab, size: tuple[int, int], downsamplings: int, label_map: str
) -> None:
    model = lab.model("selective_gan", downsamplings=downsamplings, label_map=label_map, levels=4).eval()
    image, label = torch.rand(3, *size), torch.randint(0, len(CLASSES), size)
    keep = torch.zeros(size, dtype=torch.bool)
    keep[: size[0] // 2, : size[1] // 3 + 1] = True
    data = model.codec().compress(image, label, keep)
    content = model.codec().file.read(data)
    kept = model.heatmap(keep[None])[0].numpy()
    assert (content.heatmap is None and kept.all()) or np.array_equal(content.heatmap, kept)
    assert (content.symbols[:, ~kept] == neutral(4)).all()
    batch: Any = {"image": (image[None] * 255).round() / 255, "label": label[None], "keep": keep[None]}
    through_the_graph = model.as_exported().evaluate(batch).reconstruction[0]
    assert (model.decompress(data) - through_the_graph).abs().max() <= 0.501 / 255 + 1e-5


def test_only_what_is_kept_is_paid_for(lab: Lab) -> None:
    untrained: SelectiveGAN = lab.model("selective_gan").eval()  # codes symbols as uniform
    image, label = scene(lab)
    sizes = {}
    for columns in (0, 16, 32, 48, 64):
        keep = torch.zeros_like(label, dtype=torch.bool)
        keep[:, :columns] = True
        sizes[columns] = sections(untrained.codec().compress(image, label, keep))
    lengths = [len(found[Kind.LATENT]) for found in sizes.values()]
    assert lengths[0] == 0
    assert all(a < b for a, b in itertools.pairwise(lengths))
    assert Kind.HEATMAP not in sizes[64], "everything is kept: nothing to say about it"
    assert sizes[64][Kind.LATENT] == sections(untrained.compress(image, label))[Kind.LATENT]


def test_what_is_not_kept_depends_on_the_labels_and_not_on_the_pixels(lab: Lab, trained: SelectiveGAN) -> None:
    image, label = scene(lab)
    nothing = torch.zeros_like(label, dtype=torch.bool)
    codec = trained.codec()
    assert codec.compress(image, label, nothing) == codec.compress(torch.rand_like(image), label, nothing)
    other = codec.decompress(codec.compress(image, (label + 1) % len(CLASSES), nothing))
    assert not torch.equal(codec.decompress(codec.compress(image, label, nothing)), other)


def test_classes_are_coded_as_a_bit_each(lab: Lab) -> None:
    model: SelectiveGAN = lab.model("selective_gan", label_map="full", class_names=CLASSES).eval()
    image, label = scene(lab)
    present = [name for i, name in enumerate(CLASSES) if (label == i).any()]
    keep = model.region(label[None], keep=present[:1])[0]
    (heatmap,) = [s for s in parse(model.codec().compress(image, label, keep)).sections if s.kind == Kind.HEATMAP]
    assert heatmap.coder == BY_CLASS
    assert len(heatmap.data) == 1


def test_every_flipped_bit_is_noticed(lab: Lab, trained: SelectiveGAN) -> None:
    image, label = scene(lab)
    data = trained.codec().compress(image, label, random_box(*label.shape))
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FileError):
            trained.decompress(bytes(damaged))


def test_the_distortion_ignores_what_is_not_kept(lab: Lab) -> None:
    model, batch = lab.model("selective_gan"), lab.batch("train")
    keep = torch.zeros_like(batch["label"], dtype=torch.bool)
    keep[:, 3:5, 20:21] = True  # in the cell of rows 0..15, columns 16..31
    batch["keep"] = keep
    out = model(batch)
    cell = (slice(None), slice(None), slice(0, 16), slice(16, 32))
    expected = mse_distortion(out.reconstruction[cell], batch["image"][cell]) * 16 * 16 / (32 * 64)
    torch.testing.assert_close(model.distortion(batch, out), expected)


def test_training_keeps_a_quarter_of_the_instances_or_a_box(lab: Lab) -> None:
    ids = torch.arange(64).reshape(8, 8) % 20
    assert len(torch.unique(ids[random_instances(ids)])) == 5
    shares = torch.tensor([random_box(16, 32).float().mean() for _ in range(400)])
    assert 0.2 < shares.mean() < 0.36, "each side is half of the image's on average, and half a pixel"
    box = random_box(16, 32)
    rows, columns = box.any(1), box.any(0)
    assert torch.equal(box, rows[:, None] & columns)
    model, batch = lab.model("selective_gan", regions="instances"), lab.batch("train")
    for drawn, label in zip(model.draw(batch), batch["label"], strict=True):
        for name in torch.unique(label):
            assert drawn[label == name].float().mean() in (0, 1)


def test_the_discriminator_sees_labels_and_boundaries(lab: Lab) -> None:
    model, batch = lab.model("selective_gan"), lab.batch("train")
    seen = model.condition(batch)
    assert seen.shape[1] == len(CLASSES) + 1
    ids = batch["label"].numpy()
    for b, i, j in [(0, 0, 15), (0, 15, 16), (1, 7, 7), (2, 31, 63), (3, 16, 0)]:
        around = ids[b, max(i - 1, 0) : i + 2, j].tolist() + ids[b, i, max(j - 1, 0) : j + 2].tolist()
        assert bool(seen[b, -1, i, j]) == (len(set(around)) > 1)
    batch["instance"] = torch.arange(64).expand_as(batch["label"])
    assert model.condition(batch)[:, -1].all()


def test_boundaries_of_one_region_are_none() -> None:
    assert not boundaries(torch.full((1, 5, 7), 3)).any()


def test_a_rate_distortion_model_starts_it(lab: Lab, tmp_path: Path) -> None:
    start = lab.checkpoint(lab.model("rate_distortion"), tmp_path / "rd.ckpt")
    model = lab.model("selective_gan", init_from=str(start))
    lab.fit(model, limit_train_batches=0)
    other = lab.model("rate_distortion", init_from=str(start))
    lab.fit(other, limit_train_batches=0)
    batch = lab.batch()
    expected = other.eval().evaluate(batch).reconstruction
    torch.testing.assert_close(model.eval().evaluate(batch).reconstruction, expected)


def test_the_command_keeps_synthesizes_and_boxes(
    lab: Lab, trained: SelectiveGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "model.ckpt"
    content = {"model": "SelectiveGAN", "hyper_parameters": dict(trained.hparams), "state_dict": trained.state_dict()}
    torch.save(content, checkpoint)
    image, label = scene(lab)
    to_pil_image(image).save("a.png")
    Path("masks").mkdir()
    Image.fromarray(label.byte().numpy()).save("masks/a.png")
    common = ["compress", "a.png", "--model", str(checkpoint), "--labels", "masks", "--force"]
    sizes = {}
    for flags in ([], ["--keep", "none"], ["--keep", "car,road"], ["--synthesize", "car,road"], ["--box", "0,0,16,16"]):
        assert main([*common, *flags]) == 0
        sizes[tuple(flags)] = Path("a.smc").stat().st_size
        assert main(["decompress", "a.smc", "--model", str(checkpoint), "--force"]) == 0
    assert min(sizes.values()) == sizes["--keep", "none"]
    assert max(sizes.values()) == sizes[()]
    capsys.readouterr()
    assert main(["inspect", "a.smc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["parts"].keys() == {
        "header",
        "labels",
        "heatmap",
        "latent",
    }
    for flags, message in (
        (["--keep", "zebra"], "class 'zebra' found, expected some of: sky, wall, road, car"),
        (["--keep", "car", "--synthesize", "sky"], "expected one of the two lists"),
        (["--box", "1,2,3"], "--box"),
    ):
        assert main([*common, *flags]) == 2
        assert message in capsys.readouterr().err
    assert main([*common, "--box", "60,0,16,16"]) == 3
    assert "expected x,y,width,height inside an image of 64x32" in capsys.readouterr().err


def test_models_that_send_everything_refuse_a_region(lab: Lab) -> None:
    image, label = scene(lab)
    with pytest.raises(SemcompError, match="ConditionalGAN sends every symbol"):
        lab.model("conditional_gan").codec().compress(image, label, label == 0)
