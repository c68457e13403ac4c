"""Images that lie one a file and are decoded when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.base import Images, Int64Array, UInt8Image
from bench.data.decode import MOST_BYTES, decode_image
from bench.errors import BenchError


@dataclass(frozen=True, eq=False)
class FileImages(Images):
    """One encoded image a file.

    Attributes:
        files: (N,) paths.
        rgb: convert every image to RGB.
        shape: what every image must be, (H, W) or (H, W, 3); None: any.
    """

    ids: Int64Array
    labels: Int64Array
    source: str
    files: tuple[Path, ...]
    rgb: bool
    shape: tuple[int, ...] | None = None

    def decode(self, position: int) -> UInt8Image:
        """Return the image, (H, W) or (H, W, 3) uint8. Raises BenchError if it is broken."""
        path = self.files[position]
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise BenchError(
                f"expected a readable image, got {error.strerror}, in {path}; check the file"
            ) from None
        return decode_image(data, str(path), rgb=self.rgb, shape=self.shape)

    def where(self, position: int) -> str:
        """Return the path of the image."""
        return str(self.files[position])
