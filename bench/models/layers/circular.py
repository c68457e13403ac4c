"""Circular convolution by the convolution theorem, as real matrix products.

Positions come first: images are (H, W, B, C), so that a one-dimensional transform of all of them is
one matrix product with long contiguous rows, and no axis is ever moved. Each axis is transformed by
its real Fourier basis (cosines and sines), then the four products (cos cos, cos sin, ...) of a
frequency are added to real and imaginary parts. This gives a spectrum (F, B, 2, C): for each of the
F frequencies that a real image needs, (B, 2 C) real numbers, which a layer multiplies with one
(2 C, 2 O) matrix.

`analyse` and `synthesise` are transposes of each other, so each is the other's gradient.
They are inverse to each other up to `leave_factor`, which a layer puts into its weights.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bench.models.layers.fourier_basis import (
    Size,
    basis,
    counts,
    frequencies,
    kernel_factor,
    kinds,
    leave_factor,
)


def _views(spectrum: Tensor, size: Size) -> tuple[Tensor, ...]:
    """Return the parts of a spectrum (F, B, 2, C) by kind, each (rows, columns, B, 2, C)."""
    shapes = kinds(size)
    parts = torch.split(spectrum, [rows * columns for rows, columns in shapes])
    tail = spectrum.shape[1:]
    return tuple(p.view(*s, *tail) for p, s in zip(parts, shapes, strict=True))


def _blocks(products: Tensor) -> list[list[Tensor]]:
    """Return 3 x 3 blocks (cosines alone, cosines, sines) of (H, W, B, C)."""
    rows = [counts(products.shape[0])[i] for i in (0, 1, 1)]
    columns = [counts(products.shape[1])[i] for i in (0, 1, 1)]
    return [list(torch.split(part, columns, dim=1)) for part in torch.split(products, rows)]


def _pack(products: Tensor) -> Tensor:
    """Add products of cosines and sines (H, W, B, C) to a spectrum (F, B, 2, C)."""
    height, width, batch, channels = products.shape
    out = products.new_empty(frequencies((height, width)), batch, 2, channels)
    alone, columns, rows, plus, minus = _views(out, (height, width))
    (aa, ac, as_), (ca, cc, cs), (sa, sc, ss) = _blocks(products)
    # a frequency without a sine is its own mirror image, so its imaginary part is 0
    alone[..., 0, :] = aa
    alone[..., 1, :] = 0
    columns[..., 0, :] = ac
    columns[..., 1, :] = as_
    rows[..., 0, :] = ca
    rows[..., 1, :] = sa
    # cos(a + b) = cc - ss, sin(a + b) = sc + cs, and with -b for the frequency (ky, -kx)
    torch.sub(cc, ss, out=plus[..., 0, :])
    torch.add(sc, cs, out=plus[..., 1, :])
    torch.add(cc, ss, out=minus[..., 0, :])
    torch.sub(sc, cs, out=minus[..., 1, :])
    return out


def _unpack(spectrum: Tensor, size: Size) -> Tensor:
    """Transpose of `_pack`: (F, B, 2, C) to (H, W, B, C)."""
    _, batch, _, channels = spectrum.shape
    out = spectrum.new_empty(*size, batch, channels)
    alone, columns, rows, plus, minus = _views(spectrum, size)
    (aa, ac, as_), (ca, cc, cs), (sa, sc, ss) = _blocks(out)
    aa.copy_(alone[..., 0, :])
    ac.copy_(columns[..., 0, :])
    as_.copy_(columns[..., 1, :])
    ca.copy_(rows[..., 0, :])
    sa.copy_(rows[..., 1, :])
    torch.add(plus[..., 0, :], minus[..., 0, :], out=cc)
    torch.sub(minus[..., 0, :], plus[..., 0, :], out=ss)
    torch.add(plus[..., 1, :], minus[..., 1, :], out=sc)
    torch.sub(plus[..., 1, :], minus[..., 1, :], out=cs)
    return out


def _along_both(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Multiply (h, w, B, C) by (H, h) along the rows and (W, w) along the columns."""
    height, width, batch, channels = x.shape
    # one product per column, then one per row: each fits the processor's second cache
    flat = x.reshape(height, width, batch * channels)
    first = torch.bmm(rows.expand(width, -1, -1), flat.transpose(0, 1))
    both = torch.bmm(columns.expand(len(rows), -1, -1), first.transpose(0, 1))
    return both.view(len(rows), len(columns), batch, channels)


def _forward(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Transform (kh, kw, B, C) by bases (H, kh) and (W, kw); return the spectrum (F, B, 2, C)."""
    return _pack(_along_both(x, rows, columns))


def _transposed(spectrum: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Transpose of `_forward`: (F, B, 2, C) to (kh, kw, B, C)."""
    products = _unpack(spectrum.contiguous(), (len(rows), len(columns)))
    return _along_both(products, rows.t(), columns.t())


class _Analyse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.bases = rows, columns
        return _forward(x, rows, columns)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _transposed(gradient, *ctx.bases), None, None


class _Synthesise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spectrum: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.bases = rows, columns
        return _transposed(spectrum, rows, columns)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _forward(gradient, *ctx.bases), None, None


def analyse(x: Tensor) -> Tensor:
    """Return the spectrum (F, B, 2, C) of images (H, W, B, C)."""
    rows, columns = (basis(n, 0, n, x.dtype, x.device) for n in x.shape[:2])
    out: Tensor = _Analyse.apply(x, rows, columns)
    return out


def synthesise(spectrum: Tensor, size: Size) -> Tensor:
    """Return images (H, W, B, C) of a spectrum (F, B, 2, C) that has its `leave_factor`."""
    rows, columns = (basis(n, 0, n, spectrum.dtype, spectrum.device) for n in size)
    out: Tensor = _Synthesise.apply(spectrum, rows, columns)
    return out


def kernel_matrix(weight: Tensor, size: Size, *, leave: bool) -> Tensor:
    """Return the matrices (F, 2 C, 2 O) that a kernel multiplies a spectrum with.

    Args:
        weight: (O, C, kh, kw), each side of the kernel at most the image's.
        size: (H, W) of the image.
        leave: include `leave_factor`, because `synthesise` comes next.
    """
    out_channels, in_channels, *taps = weight.shape
    kind = (weight.dtype, weight.device)
    # the kernel's middle, the left one of two, lies at position 0
    rows, columns = (basis(n, -((k - 1) // 2), k, *kind) for n, k in zip(size, taps, strict=True))
    spectrum: Tensor = _Analyse.apply(weight.permute(2, 3, 1, 0), rows, columns)
    factor = kernel_factor(size, *kind)
    if leave:
        factor = factor * leave_factor(size, *kind)
    # a layer correlates, so an image's spectrum x + iy meets the kernel's conjugate u - iv:
    # (xu + yv) + i(yu - xv), as a real matrix
    sign = torch.tensor([[1.0], [-1.0]], dtype=weight.dtype, device=weight.device)
    upper = spectrum * (factor * sign)
    lower = spectrum.flip(2) * factor
    matrix = torch.stack((upper, lower), 1)  # (F, 2, C, 2, O)
    return matrix.view(len(matrix), 2 * in_channels, 2 * out_channels)


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spectrum: Tensor, matrix: Tensor, bias: Tensor, root: float) -> Tensor:
        ctx.save_for_backward(spectrum, matrix)
        ctx.root = root
        frequencies, batch = spectrum.shape[:2]
        out = torch.bmm(spectrum.view(frequencies, batch, -1), matrix)
        out = out.view(frequencies, batch, 2, -1)
        # a constant image has power at frequency 0 only, sqrt(H W) times it in this basis
        out[0, :, 0] += root * bias
        return out

    @staticmethod
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        spectrum, matrix = ctx.saved_tensors
        flat = gradient.contiguous().view(*gradient.shape[:2], -1)
        needs_spectrum, needs_matrix, needs_bias, _ = ctx.needs_input_grad
        grad_spectrum = grad_matrix = grad_bias = None
        if needs_spectrum:
            grad_spectrum = torch.bmm(flat, matrix.mT).view(spectrum.shape)
        if needs_matrix:
            grad_matrix = torch.bmm(spectrum.view(*spectrum.shape[:2], -1).mT, flat)
        if needs_bias:
            grad_bias = ctx.root * gradient[0, :, 0].sum(0)
        return grad_spectrum, grad_matrix, grad_bias, None


def mix(spectrum: Tensor, matrix: Tensor, bias: Tensor, size: Size) -> Tensor:
    """Apply a layer to a spectrum.

    Args:
        spectrum: (F, B, 2, C).
        matrix: (F, 2 C, 2 O), see `kernel_matrix`.
        bias: (O,), added to every pixel.
        size: (H, W) of the image.

    Returns:
        (F, B, 2, O).
    """
    root = math.sqrt(size[0] * size[1])
    out: Tensor = _Mix.apply(spectrum, matrix, bias, root)
    return out


def inner_product(spectrum: Tensor, weight: Tensor, size: Size) -> Tensor:
    """Return the inner products of images, given as spectra, with templates (Parseval).

    Args:
        spectrum: (F, B, 2, C).
        weight: (K, C, H, W).
        size: (H, W).

    Returns:
        (B, K).
    """
    # the basis is orthonormal but for what _pack doubles: leave_factor halves it, once for both
    templates = analyse(weight.permute(2, 3, 0, 1)) * leave_factor(
        size, weight.dtype, weight.device
    )
    frequencies, batch = spectrum.shape[:2]
    flat = spectrum.view(frequencies, batch, -1)
    return torch.bmm(flat, templates.view(frequencies, len(weight), -1).mT).sum(0)
