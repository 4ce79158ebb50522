"""A camera for headless Chromium: a raw video (Y4M) of a drawn face that moves a little."""

from pathlib import Path

import cv2
import numpy as np

from fer.data.demo import draw_photo


def write_video(path: Path, frames: int = 15, width: int = 640, height: int = 480) -> Path:
    """`frames` pictures of one drawn person, shifted from one to the next; Chromium repeats them."""
    photo, _ = draw_photo(3, width, height)
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F15:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(frames):
            shift = 12 * np.sin(2 * np.pi * number / frames)
            moved = cv2.warpAffine(
                photo,
                np.float32([[1, 0, shift], [0, 1, 0]]),
                (width, height),
                borderMode=cv2.BORDER_REPLICATE,
            )
            file.write(b"FRAME\n" + cv2.cvtColor(moved, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


def chromium_arguments(video: Path | None) -> list[str]:
    """Flags that give pages this camera without asking; None refuses every page a camera."""
    if video is None:
        return ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    ]
