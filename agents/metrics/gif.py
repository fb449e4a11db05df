"""An animation in TensorBoard's Images tab: torch's own `add_video` needs a moviepy that is gone."""

from __future__ import annotations

from collections.abc import Sequence

from tensorboard.compat.proto.summary_pb2 import Summary

from agents.filming.video import Picture, gif


def gif_summary(tag: str, pictures: Sequence[Picture], fps: float) -> Summary:
    """For the `file_writer` of a `SummaryWriter`. pictures: uint8 [H, W, 3], at least one, all of one size."""
    height, width, channels = pictures[0].shape
    image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=gif(pictures, fps))
    return Summary(value=[Summary.Value(tag=tag, image=image)])
