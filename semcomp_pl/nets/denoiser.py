"""The network that turns noise into a latent, told what the picture means and which colours it has where."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.extra import diffusers_part

PLANES, ROWS, COLUMNS = 8, 4, 8
"""Number and size of the planes that the vector is laid out on."""
COLOURS = 4
"""Planes of the colour map: Y, Cb, Cr, and whether there is one."""


class Denoiser(nn.Module):
    """u(z_t, t, v, c): diffusers' U-Net, which sees v as a shift of its features and as planes beside z_t and c.

        v --linear--> 8 planes of 4x8 --bilinear--> h x w --+
        c --bilinear------------------------------> h x w --+--> U-Net --> u
        z_t ------------------------------------------------+      ^
        t, v --linear--> features' scale and shift ----------------+

    Args:
        channels: Number of channels K of the latent z.
        dimensions: Number of dimensions C of the vector v.
        filters: Width F at the latent's size; it is 1.5 F at half the size and 2 F at a quarter, where there is
            attention.
        blocks: Number of residual blocks of each stage N.

    Raises:
        SemcompError: F is no multiple of 16, or N is below 1; or diffusers is not installed.
    """

    multiple = 4
    """Divisor of the numbers of rows and columns of latents."""

    def __init__(self, channels: int, dimensions: int, filters: int, blocks: int) -> None:
        super().__init__()
        if filters < 16 or filters % 16 or blocks < 1:
            raise SemcompError(
                f"filters={filters} and blocks={blocks} found, expected a multiple of 16 and 1 or more; diffusers' "
                "U-Net has no others"
            )
        widths = (filters, 3 * filters // 2, 2 * filters)
        self.unet = diffusers_part("UNet2DModel")(
            in_channels=channels + COLOURS + PLANES,
            out_channels=channels,
            block_out_channels=widths,
            layers_per_block=blocks,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            attention_head_dim=filters // 2,
            norm_num_groups=8,
            class_embed_type="identity",
            resnet_time_scale_shift="scale_shift",
        )
        self.features = nn.Linear(dimensions, 4 * filters)
        self.planes = nn.Linear(dimensions, PLANES * ROWS * COLUMNS)

    def forward(self, noisy: Tensor, time: Tensor, vector: Tensor, colours: Tensor) -> Tensor:
        """The velocity u of the flow.

        Args:
            noisy: z_t, (B, K, h, w), with h and w multiples of 4.
            time: t in [0, 1], (B,); 1 is noise alone.
            vector: v (B, C), zeros for none.
            colours: c with its fourth plane of ones, (B, 4, h, w); zeros for none.

        Returns:
            (B, K, h, w).
        """
        planes = self.planes(vector).view(-1, PLANES, ROWS, COLUMNS)
        planes = F.interpolate(planes, noisy.shape[-2:], mode="bilinear", align_corners=False)
        seen = torch.cat([noisy, colours, planes], 1).contiguous(memory_format=torch.channels_last)
        velocity: Tensor = self.unet(seen, 1000 * time, class_labels=self.features(vector), return_dict=False)[0]
        return velocity
