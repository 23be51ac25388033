"""Running networks on images of any size: reflected borders, and seamless tiles that bound the memory."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def reflect_pad(image: Tensor, height: int, width: int) -> Tensor:
    """Image (..., H, W) extended to a size by mirroring below and to the right, repeatedly if necessary."""
    for dim, size in ((-2, height), (-1, width)):
        length = image.shape[dim]
        if size > length:
            period = max(1, 2 * length - 2)
            places = torch.arange(size, device=image.device) % period
            image = image.index_select(dim, torch.minimum(places, period - places) if length > 1 else places * 0)
    return image


def tiled(
    network: Callable[..., Tensor], inputs: Sequence[Tensor], cells: tuple[int, int], tile: int, margin: int
) -> Tensor:
    """A network's output for inputs on one grid of cells, computed in overlapping tiles.

    Each tile has `margin` more cells on every side than its output uses; the outputs of neighbouring tiles are blended
    over another `margin`. If the network sees no further than `margin`, the output equals the untiled one.

    Args:
        network: Maps inputs (B, C, h, w) to one output (B, C', h', w'); all sizes are the grid's or multiples of it.
        inputs: Inputs, which are cut along with the grid.
        cells: Rows and columns of the grid.
        tile: Largest side of a tile in cells; raised to 5 margins if smaller.
        margin: Width of the margin in cells.
    """
    tile = max(tile, 5 * margin)
    if max(cells) <= tile:
        return network(*inputs)
    output: Tensor | None = None
    for top, bottom, fade_rows in _spans(cells[0], tile, margin):
        for left, right, fade_columns in _spans(cells[1], tile, margin):
            part = network(*(_cut(x, cells, (top, bottom), (left, right)) for x in inputs))
            rows, columns = part.shape[-2] // (bottom - top), part.shape[-1] // (right - left)
            if output is None:
                output = part.new_zeros(*part.shape[:-2], cells[0] * rows, cells[1] * columns)
            fade = _stretch(fade_rows, rows)[:, None] * _stretch(fade_columns, columns)
            output[..., top * rows : bottom * rows, left * columns : right * columns] += part * fade.to(part)
    assert output is not None
    return output


def _cut(x: Tensor, cells: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    height, width = x.shape[-2] // cells[0], x.shape[-1] // cells[1]
    return x[..., rows[0] * height : rows[1] * height, columns[0] * width : columns[1] * width]


def _spans(cells: int, tile: int, margin: int) -> list[tuple[int, int, Tensor]]:
    """Start and end of each tile along an axis, and the weights of its cells; the weights of each cell sum to 1."""
    overlap = 3 * margin
    count = 1 if cells <= tile else -(-(cells - overlap) // (tile - overlap))
    starts = [round(i * (cells - tile) / (count - 1)) for i in range(count)] if count > 1 else [0]
    spans = []
    ramp = (torch.arange(margin) + 0.5) / max(1, margin)
    weights = torch.zeros(len(starts), cells)
    for i, start in enumerate(starts):
        end = min(cells, start + tile)
        weights[i, start:end] = 1
    for i in range(1, len(starts)):
        first, last = starts[i], starts[i - 1] + tile  # the overlap of two tiles
        middle = (first + last - margin) // 2
        weights[i, first:middle] = 0
        weights[i - 1, middle + margin : last] = 0
        weights[i, middle : middle + margin] = ramp
        weights[i - 1, middle : middle + margin] = 1 - ramp
    for i, start in enumerate(starts):
        end = min(cells, start + tile)
        spans.append((start, end, weights[i, start:end]))
    return spans


def _stretch(weights: Tensor, factor: int) -> Tensor:
    """Weights of cells interpolated to weights of their pixels, linearly between the cells' centres."""
    if factor == 1:
        return weights
    return torch.nn.functional.interpolate(weights[None, None], scale_factor=factor, mode="linear")[0, 0]
