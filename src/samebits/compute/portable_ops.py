"""torch's CPU operators that take MKL's kernels, replaced or refused: those follow the vendor of the processor.

Measured with torch 2.14.1 under the variables of `arithmetic.py`, a Zen 4 against emulated Haswell and Rome processors:

products         MKL has one branch for all vendors (`MKL_CBWR=COMPATIBLE`), 2 to 3 times slower than its best. OpenBLAS
                 with a named core type has the same bits everywhere and the speed of MKL's best. numpy brings it.
sqrt, fp64 log   MKL starts from an approximation (`rsqrtps`) whose bits are the vendor's own. numpy's square root is
                 exact, and its logarithm one kernel for all.
the rest         of what MKL approximates (log10, atan, tan, …), LAPACK and Fourier transforms: refused by name.
products inside  a kernel (a convolution of one small image, which oneDNN does not get) stay MKL's compatible branch.

Every other elementwise function, sum and normalisation is torch's own code, and agreed in every bit.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from samebits.base.errors import UserError
from samebits.compute.portable_convolution import small_weight_gradients

_PART = 1 << 23
"""Multiplications of a part of a product. Parts are cut by the shape alone, so their bits are those of any number of
threads."""

_MOST_PARTS = 16
_MATRIX = 2
"""Axes."""

Product = Callable[[Tensor, Tensor], Tensor]

_APPROXIMATED = r"(acos|asin|atan|tan|log10|log2)_?"
_LAPACK = (
    r"_?(linalg_(?!vector_norm|_powsum|cross)\w+|fft_\w+|cholesky\w*|lu_\w+|geqrf|ormqr|orgqr|svd|lstsq"
    r"|triangular_solve)"
)
_REFUSED = re.compile(f"aten::({_APPROXIMATED}|{_LAPACK})")


@functools.cache
def install(threads: int) -> None:
    """Register the replacements for the rest of this process.

    Args:
        threads: that compute the parts of a product; they change the speed alone.
    """
    library = torch.library.Library("aten", "IMPL")
    replaced = _replacements(functools.partial(_product, threads))
    with warnings.catch_warnings():  # torch says of each that it had a kernel before
        warnings.simplefilter("ignore")
        for name, function in replaced.items():
            library.impl(name, function, "CPU", with_keyset=name.partition(".")[0].rstrip("_") in _DEPENDS)
        for name in torch._C._dispatch_get_registrations_for_dispatch_key("CPU"):
            short = name.removeprefix("aten::")
            if short not in replaced and _REFUSED.fullmatch(name.partition(".")[0]):
                library.impl(short, _refusal(name), "CPU")
    # Attention by products and softmax; the fused kernel calls MKL by itself.
    torch.backends.cuda.enable_flash_sdp(False)
    _keep.append(library)


_DEPENDS = ("pow", "log", "convolution_backward")
"""Replaced for some inputs only: for the others their own kernel is called, which takes the dispatch keys."""

_keep: list[torch.library.Library] = []
"""A library that is collected takes its kernels along."""


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise UserError(
            f"{name} has no portable implementation: its kernel follows the vendor of the processor",
            "write the model without it, or set reproducibility: strict",
        )

    return refuse


def _product(threads: int, a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` of matrices [m, k] [k, n] or of batches of them [b, m, k] [b, k, n], by OpenBLAS.

    16-bit inputs are multiplied in float32.

    Raises:
        RuntimeError: for shapes or types that torch's own product refuses.
    """
    if a.dtype != b.dtype:
        raise RuntimeError(f"expected two factors of one dtype, and got {a.dtype} and {b.dtype}")
    if a.ndim != b.ndim or a.shape[-1] != b.shape[-2] or a.shape[:-2] != b.shape[:-2]:
        raise RuntimeError(f"shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be multiplied")
    left, right = _array(a), _array(b)
    out = np.empty((*left.shape[:-1], right.shape[-1]), left.dtype)
    rows = len(left)
    parts = max(1, min(_MOST_PARTS, rows, out.size * left.shape[-1] // _PART))
    bounds = [rows * part // parts for part in range(parts + 1)]

    def compute(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):  # torch says nothing of infinities either
            np.matmul(left[start:stop], right if right.ndim == _MATRIX else right[start:stop], out=out[start:stop])

    if threads == 1 or parts == 1:
        for start, stop in itertools.pairwise(bounds):
            compute(start, stop)
    else:
        list(_pool(threads, os.getpid()).map(compute, bounds, bounds[1:]))
    return torch.from_numpy(out).to(a.dtype)


@functools.cache
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Of each process one: a fork has none of its parent's threads."""
    return ThreadPoolExecutor(threads)


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    # numpy hands BLAS what is contiguous along one of the two axes, and multiplies the rest by a slow loop.
    if 1 not in tensor.stride()[-2:]:
        tensor = tensor.contiguous()
    array: npt.NDArray[Any] = tensor.numpy()
    return array


def _replacements(product: Product) -> dict[str, Callable[..., Any]]:
    """Operators and what computes them, functional, in-place and into `out`."""

    def add(base: Tensor, value: Tensor, beta: Any = 1, alpha: Any = 1) -> Tensor:
        base = base.expand(value.shape)
        value = value if alpha == 1 else value * alpha
        return value if beta == 0 else value.add_(base, alpha=beta)

    def addmm(self: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        return add(self, product(a, b), beta, alpha)

    def mv(a: Tensor, b: Tensor) -> Tensor:
        return product(a, b[:, None])[:, 0]

    def addmv(self: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        return add(self, mv(a, b), beta, alpha)

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return product(a[None], b[:, None])[0, 0]

    def sqrt(x: Tensor) -> Tensor:
        # Of integers, a float32, as everywhere in torch.
        return _elementwise(np.sqrt, x if x.is_floating_point() or x.is_complex() else x.float())

    whole: dict[str, Callable[..., Tensor]] = {
        "mm": product,
        "bmm": product,
        "addmm": addmm,
        "baddbmm": addmm,
        "mv": mv,
        "addmv": addmv,
        "dot": dot,
        "sqrt": sqrt,
    }
    table: dict[str, Callable[..., Any]] = {}
    for name, function in whole.items():
        registered = torch._C._dispatch_get_registrations_for_dispatch_key("CPU")
        for variant, make in ((name, _same), (f"{name}.out", _into), (f"{name}_", _in_place)):
            if f"aten::{variant}" in registered:
                table[variant] = make(function)
    return table | _powers(sqrt) | _logarithms() | small_weight_gradients(product)


def _same(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return function


def _into(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def compute(*args: Any, out: Tensor, **kwargs: Any) -> Tensor:
        return _write(out, function(*args, **kwargs))

    return compute


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def compute(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return _write(self, function(self, *args, **kwargs))

    return compute


def _write(target: Tensor, value: Tensor) -> Tensor:
    if not torch.can_cast(value.dtype, target.dtype):
        raise RuntimeError(f"result type {value.dtype} can't be cast to the output's {target.dtype}")
    return target.resize_(value.shape).copy_(value)


def _elementwise(function: Callable[..., Any], x: Tensor) -> Tensor:
    narrow = x.dtype in (torch.bfloat16, torch.float16)
    source = x.detach().float() if narrow else x.detach()
    out = torch.empty_like(source)
    with np.errstate(all="ignore"):
        function(source.numpy(), out=out.numpy())
    return out.to(x.dtype) if narrow else out


def _powers(sqrt: Callable[[Tensor], Tensor]) -> dict[str, Callable[..., Any]]:
    """`x ** 0.5` is MKL's square root; every other power is torch's own."""

    def power(name: str) -> Callable[..., Any]:
        original = torch.library.get_kernel(f"aten::{name}", "CPU")

        def compute(keys: torch.DispatchKeySet, self: Tensor, exponent: Any, *, out: Tensor | None = None) -> Any:
            if exponent != 0.5:
                return original.call_boxed(keys, self, exponent, **({} if out is None else {"out": out}))
            value = sqrt(self)
            target = self if name == "pow_.Scalar" else out
            return value if target is None else _write(target, value)

        return compute

    return {name: power(name) for name in ("pow.Tensor_Scalar", "pow.Tensor_Scalar_out", "pow_.Scalar")}


def _logarithms() -> dict[str, Callable[..., Any]]:
    """MKL approximates the logarithm of float64 alone."""

    def logarithm(name: str) -> Callable[..., Any]:
        original = torch.library.get_kernel(f"aten::{name}", "CPU")

        def compute(keys: torch.DispatchKeySet, self: Tensor, *, out: Tensor | None = None) -> Any:
            if self.dtype != torch.float64:
                return original.call_boxed(keys, self, **({} if out is None else {"out": out}))
            value = _elementwise(np.log, self)
            target = self if name == "log_" else out
            return value if target is None else _write(target, value)

        return compute

    return {name: logarithm(name) for name in ("log", "log_", "log.out")}
