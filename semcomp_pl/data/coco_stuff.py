"""The two releases of COCO-Stuff, which share one taxonomy.

Caesar et al., "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018 (https://arxiv.org/abs/1612.03716).
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.data.listing import check_pairs, find, some
from semcomp_pl.data.source import ImageSource, Sample, Split
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.images import read_index_map
from semcomp_pl.files.places import expand_home
from semcomp_pl.types import IGNORE

# from https://github.com/nightrome/cocostuff/blob/master/labels.txt, whose numbers are higher by one
_TEXT = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, plate, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli,
carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window,
desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush,
banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other,
plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table,
tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel,
wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
"""
NAMES = tuple(name.strip() for name in _TEXT.split(","))
THINGS = 91
# COCO classes that were never annotated: they occur in no pixel of either release
ABSENT = frozenset(
    {
        *("street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door"),
        *("blender", "hair brush"),
    }
)


class _CocoStuff(ImageSource):
    """The taxonomy: 91 thing classes, 11 of which never occur, and 91 stuff classes."""

    first, unlabeled = 0, IGNORE
    """The ids of `person` and of unlabelled pixels in the release's files."""

    def __init__(self, root: str, contiguous: bool) -> None:
        self.root = Path(expand_home(root))
        self.ids = [i for i, name in enumerate(NAMES) if not (contiguous and name in ABSENT)]
        self.classes = tuple(NAMES[i] for i in self.ids)

    @property
    def train_ids(self) -> Mapping[int, int]:
        """Map from the release's ids to places in `classes`; unlabelled becomes 255."""
        return {self.unlabeled: IGNORE, **{self.first + i: n for n, i in enumerate(self.ids)}}


class CocoStuff10k(_CocoStuff):
    """COCO-Stuff 10k, version 1.1: 9000 training images, and 1000 that serve for validation and for test.

    Layout of the unpacked `cocostuff-10k-v1.1.zip` (https://github.com/nightrome/cocostuff10k):

        root/imageLists/{train,test}.txt
        root/images/NAME.jpg
        root/annotations/NAME.mat

    Args:
        root: Directory that holds these.
        contiguous: Use the 171 classes that occur; otherwise all 182.
    """

    first, unlabeled = 1, 0

    def __init__(self, root: str = "data/coco_stuff_10k", contiguous: bool = True) -> None:
        super().__init__(root, contiguous)

    def samples(self, split: Split) -> list[Sample]:
        """Images in the order of the official list."""
        names = self._listed("train" if split == "train" else "test")
        images = find(self.root / "images", ".jpg")
        labels = find(self.root / "annotations", ".mat")
        for files, kind in ((images, "image"), (labels, "annotation")):
            missing = [name for name in names if name not in files]
            if missing:
                raise SemcompError(
                    f"{self.root}: {some(missing)} of the {len(names)} names listed for {split} have no {kind}; "
                    "unpack the whole archive"
                )
        return [Sample(name, images[name], labels[name]) for name in names]

    def _listed(self, name: Literal["train", "test"]) -> list[str]:
        file = self.root / "imageLists" / f"{name}.txt"
        try:
            names = file.read_text().split()
        except OSError as error:
            raise SemcompError(f"{file}: {error.strerror}; check --data.source.root") from None
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice or not names:
            raise SemcompError(f"{file}: {len(names)} names, {some(twice)} of them twice; fetch the file again")
        return names

    def read_ids(self, path: Path) -> NDArray[Any]:
        """The variable `S` of a MATLAB file."""
        from scipy.io import loadmat  # here, because no other data set needs it

        try:
            return loadmat(path, variable_names=["S"])["S"].astype(np.int64)  # type: ignore[no-any-return]
        except NotImplementedError:  # a MATLAB 7.3 file, as in version 1.0, which has other ids
            raise SemcompError(f"{path}: version 1.0 of COCO-Stuff 10k found, expected 1.1; fetch that") from None
        except Exception as error:  # on damaged files scipy raises errors of many types
            raise SemcompError(
                f"{path}: no readable label map S ({error!r}); fetch the file again, or pass --data.on_error=skip"
            ) from None


class CocoStuff164k(_CocoStuff):
    """COCO-Stuff 164k: 118287 training and 5000 validation images of COCO 2017, no test split.

    Layout of the unpacked `{train,val}2017.zip` and `stuffthingmaps_trainval2017.zip`
    (https://github.com/nightrome/cocostuff):

        root/images/{train,val}2017/NAME.jpg
        root/annotations/{train,val}2017/NAME.png

    Args:
        root: Directory that holds these.
        contiguous: Use the 171 classes that occur; otherwise all 182.
        images: Directory of a split's images below `root`; `SPLIT` stands for train or val.
        labels: Directory of a split's label maps, likewise.
        instances: Directory of a split's instance maps, likewise, as written by SPADE's
            `coco_generate_instance_map.py` (https://github.com/NVlabs/SPADE). If not given, there are no instances.
    """

    def __init__(
        self,
        root: str = "data/coco_stuff_164k",
        contiguous: bool = True,
        images: str = "images/SPLIT2017",
        labels: str = "annotations/SPLIT2017",
        instances: str | None = None,
    ) -> None:
        super().__init__(root, contiguous)
        self.images, self.labels, self.instances = images, labels, instances

    def samples(self, split: Split) -> list[Sample]:
        """Images by name, each with its maps."""
        if split == "test":
            raise SemcompError(f"{self.root}: COCO-Stuff 164k has no labelled test split; pass --data.test_split=val")
        images, labels = (find(self.root / p.replace("SPLIT", split)) for p in (self.images, self.labels))
        check_pairs(images, labels, self.root / self.labels.replace("SPLIT", split), "label map")
        if self.instances is None:
            return [Sample(name, image, labels[name]) for name, image in images.items()]
        directory = self.root / self.instances.replace("SPLIT", split)
        instances = find(directory)
        check_pairs(images, instances, directory, "instance map")
        return [Sample(name, image, labels[name], instances[name]) for name, image in images.items()]

    def read_instance(self, sample: Sample) -> NDArray[np.uint16]:
        """Numbers from 1 for things, 0 for stuff; the file counts things from 0 and holds label ids for stuff."""
        assert sample.label is not None
        assert sample.instance is not None
        things = self.read_ids(sample.label) < THINGS
        ids = read_index_map(sample.instance)
        if ids.shape != things.shape:
            raise SemcompError(f"{sample.instance}: a map of another size than {sample.label} found; write it again")
        return np.where(things, ids + 1, 0).astype(np.uint16)
