"""The home of timm: building its models and their evaluation transforms."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.data.hub.fetch import Wanted, check_cached
from bench.data.hub.fetch import cached as cached_files
from bench.data.hub.reach import unreachable
from bench.errors import BenchError
from bench.models.timm_names import known_tag

if TYPE_CHECKING:
    import PIL.Image


def check_classes(tag: str, classes: int) -> None:
    """Raise BenchError, before anything is downloaded, if timm's weights have other classes."""
    import timm

    tag = known_tag(tag)
    cfg = timm.get_pretrained_cfg(tag)
    if cfg is not None and cfg.num_classes != classes:
        found = f"{cfg.num_classes} classes" if cfg.num_classes else "no read-out"
        known = timm.list_pretrained(f"{tag.partition('.')[0]}.*")
        fit = [name for name in known if timm.get_pretrained_cfg(name).num_classes == classes]
        hint = f"take {' or '.join(fit[:3])}" if fit else "no tag of this model has them"
        raise BenchError(
            f"expected weights with {classes} classes, got {found}, in timm's {tag!r}; {hint}"
        )


def data_config(tag: str | None, input_size: int | None) -> dict[str, Any]:
    """Return timm's evaluation settings of a model: size, crop, interpolation, mean, std.

    Args:
        tag: timm `arch.tag`; None: timm's defaults.
        input_size: side to evaluate at instead of the configuration's own, with the crop of
            training; None: size and crop of timm's own test, where it states one (`test_input_size`
            and `test_crop_pct`), as its published accuracies have it.
    """
    import timm

    cfg = None if tag is None else timm.get_pretrained_cfg(known_tag(tag), allow_unregistered=True)
    known = cfg.to_dict() if cfg is not None else {}
    wanted = {} if input_size is None else {"input_size": (3, input_size, input_size)}
    config: dict[str, Any] = timm.data.resolve_data_config(
        wanted, pretrained_cfg=known, use_test_size=input_size is None
    )
    return config


def evaluation_transform(config: dict[str, Any]) -> Callable[[PIL.Image.Image], torch.Tensor]:
    """Return timm's own evaluation transform without its normalisation.

    Returns:
        RGB image -> (3, H, W) float32 in [0, 1].
    """
    import timm

    transform = timm.data.create_transform(**config, is_training=False, normalize=False)

    def apply(image: PIL.Image.Image) -> torch.Tensor:
        tensor: torch.Tensor = transform(image)
        assert tensor.dtype == torch.uint8, f"timm's transform gave {tensor.dtype}, not uint8"
        return tensor.float() / 255

    return apply


def unrounded_transform(
    config: dict[str, Any],
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Return the resizing and cropping of :func:`evaluation_transform` in float32.

    Returns:
        one plane (H, W) float32 -> (h, w) float32, in the same unit; nothing is rounded.
    """
    import PIL.Image
    import timm

    # padding has one value a channel, and a plane has one channel
    one = {key: config[key] and config[key][:1] for key in ("mean", "std")}
    settings = {**config, **one}
    transform = timm.data.create_transform(**settings, is_training=False, normalize=False)

    def apply(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        tensor: torch.Tensor = transform(PIL.Image.fromarray(plane))
        assert tensor.dtype == torch.float32, f"timm's transform gave {tensor.dtype}, not float32"
        result: npt.NDArray[np.float32] = tensor[0].numpy()
        return result

    return apply


def build(
    tag: str,
    *,
    pretrained: bool,
    classes: int,
    shape: tuple[int, int, int] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Return a timm model without its normalisation, in training mode, on the CPU.

    Args:
        tag: timm `arch.tag`.
        pretrained: with timm's weights (hub cache first, then the hub).
        classes: width of the read-out; with `pretrained`, the weights' own is kept.
        shape: (C, H, W) of the input; None: timm's.
        seed: of the initial weights, if not `pretrained`.

    Raises:
        BenchError: the weights are neither in the cache nor can the hub be reached, or the model
            can't be built for this input.
    """
    import timm

    tag = known_tag(tag)
    options = {} if shape is None else _input_options(tag, shape)
    try:
        if pretrained:
            return _with_weights(tag, options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model: nn.Module = timm.create_model(tag, num_classes=classes, **options)
        return model
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        if not options:
            raise
        size = " x ".join(str(side) for side in shape or ())
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BenchError(
            f"expected a timm model that can be built for {size} images, got {reason!r}, from "
            f"{tag!r}; choose another model or input_size"
        ) from error


def _input_options(tag: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return the options with which timm builds a model for another input than its own."""
    import timm

    cfg = timm.get_pretrained_cfg(tag, allow_unregistered=True)
    channels, height, width = shape
    options: dict[str, Any] = {}
    if channels != (3 if cfg is None else cfg.input_size[0]):
        options["in_chans"] = channels
    if cfg is not None and cfg.fixed_input_size and (height, width) != cfg.input_size[1:]:
        options["img_size"] = (height, width)
    return options


def _with_weights(tag: str, options: dict[str, Any]) -> nn.Module:
    import timm
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    cfg = timm.get_pretrained_cfg(tag)
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        raise BenchError(f"expected pretrained weights of {tag!r}, timm has none; use --weights")
    cached = _cached(cfg)
    known = weights_on_hub(tag) if cached else None
    for path in cached_files(known) if known is not None else ():
        check_cached(path)
    reason = None if cached else _unreachable(constants.ENDPOINT)
    if reason is not None:
        raise BenchError(
            f"expected the weights of {tag!r} in the local hub cache or a network, found neither "
            f"({reason}); connect once, or give a file with --weights PATH (--weights random is a "
            "control)"
        )
    try:
        with offline(cached):
            model: nn.Module = timm.create_model(tag, pretrained=True, **options)
    except (OSError, HfHubHTTPError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BenchError(
            f"expected to download the weights of {tag!r}, found: {reason}; try again, or give a "
            "file with --weights PATH"
        ) from error
    return model


@contextlib.contextmanager
def offline(wanted: bool = True) -> Iterator[None]:
    """Keep the hub's client off the network for a while; what is in its cache is found."""
    if not wanted:
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of a model's weights on the hub; the first that is there is taken."""


def weights_on_hub(tag: str) -> Wanted | None:
    """Return the files on the hub that timm loads a model's weights from; None if it has none."""
    import timm

    cfg = timm.get_pretrained_cfg(known_tag(tag))
    if cfg is None or not cfg.hf_hub_id:
        return None
    names = (*WEIGHTS, *((cfg.hf_hub_filename,) if cfg.hf_hub_filename else ()))
    repo, _, revision = cfg.hf_hub_id.partition("@")
    return Wanted("model", repo, revision or "main", "", names)


def _cached(cfg: Any) -> bool:
    """Return whether a model's weights are in the local hub cache (or torch's)."""
    from huggingface_hub import try_to_load_from_cache

    if cfg.hf_hub_id:
        files = ("model.safetensors", "pytorch_model.bin", cfg.hf_hub_filename)
        return any(isinstance(try_to_load_from_cache(cfg.hf_hub_id, f), str) for f in files if f)
    name = os.path.basename(urlsplit(cfg.url).path)  # noqa: PTH119
    return os.path.exists(os.path.join(torch.hub.get_dir(), "checkpoints", name))  # noqa: PTH110, PTH118


def _unreachable(endpoint: str) -> str | None:
    """Return why the hub is not asked or does not answer; its client would try for a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "the run is offline"
    return unreachable(endpoint)
