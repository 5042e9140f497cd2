"""torch's CPU operators that take MKL's kernels, replaced or refused: those follow the vendor of the processor.

Measured with torch 2.14.1 under the variables of `arithmetic.py`, a Zen 4 against emulated Haswell and Rome processors:

products         MKL has one branch for all vendors (`MKL_CBWR=COMPATIBLE`), 2 to 3 times slower than its best. OpenBLAS
                 with a named core type has the same bits everywhere and the speed of MKL's best. numpy brings it.
sqrt, fp64 log   MKL starts from an approximation (`rsqrtps`) whose bits are the vendor's own. numpy's square root is
                 exact, and its logarithm one kernel for all.
the rest         of what MKL approximates (log10, atan, tan, …), LAPACK and Fourier transforms: refused by name.

Every other elementwise function, sum and normalisation is torch's own code, and agreed in every bit.
"""

from __future__ import annotations

import functools
import itertools
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

_PART = 1 << 23
"""Multiplications of a part of a product. Parts are cut by the shape alone, so their bits are those of any number of
threads."""

_MOST_PARTS = 16

_APPROXIMATED = r"(acos|asin|atan|tan|log10|log2)_?"
_LAPACK = (
    r"_?(linalg_(?!vector_norm|_powsum|cross)\w+|fft_\w+|cholesky\w*|lu_\w+|geqrf|ormqr|orgqr|svd|lstsq"
    r"|triangular_solve)"
)
_OWN_PRODUCTS = r"_scaled_dot_product_flash_attention_for_cpu\w*|_addmm_activation|slow_conv\w+|_slow_conv\w+|addbmm_?"
_REFUSED = re.compile(f"aten::({_APPROXIMATED}|{_LAPACK}|{_OWN_PRODUCTS})")


@functools.cache
def install(threads: int) -> None:
    """Register the replacements for the rest of this process.

    Args:
        threads: that compute the parts of a product; they change the speed alone.
    """
    library = torch.library.Library("aten", "IMPL")
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    replaced = _replacements(functools.partial(_product, pool))
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


_DEPENDS = ("pow", "log")
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


Product = Callable[[Tensor, Tensor], Tensor]


def _product(pool: ThreadPoolExecutor | None, a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` of matrices [m, k] [k, n] or of batches of them [b, m, k] [b, k, n], by OpenBLAS.

    16-bit inputs are multiplied in float32.
    """
    left, right = _array(a), _array(b)
    out = np.empty((*left.shape[:-1], right.shape[-1]), np.result_type(left, right))
    rows = len(left)
    work = out.size * left.shape[-1]
    parts = max(1, min(_MOST_PARTS, rows, work // _PART))
    bounds = [rows * part // parts for part in range(parts + 1)]

    def compute(start: int, stop: int) -> None:
        np.matmul(left[start:stop], right if right.ndim == 2 else right[start:stop], out=out[start:stop])

    if pool is None or parts == 1:
        for start, stop in itertools.pairwise(bounds):
            compute(start, stop)
    else:
        list(pool.map(compute, bounds, bounds[1:]))
    return torch.from_numpy(out).to(a.dtype)


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
    return table | _powers(sqrt) | _logarithms() | _convolutions(product)


def _same(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return function


def _into(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def compute(*args: Any, out: Tensor, **kwargs: Any) -> Tensor:
        value = function(*args, **kwargs)
        return out.resize_(value.shape).copy_(value)

    return compute


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def compute(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.copy_(function(self, *args, **kwargs))

    return compute


def _elementwise(function: Callable[..., Any], x: Tensor) -> Tensor:
    narrow = x.dtype in (torch.bfloat16, torch.float16)
    source = x.detach().float() if narrow else x.detach()
    out = torch.empty_like(source)
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
            return value if target is None else target.resize_(value.shape).copy_(value)

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
            return value if target is None else target.resize_(value.shape).copy_(value)

        return compute

    return {name: logarithm(name) for name in ("log", "log_", "log.out")}


def _convolutions(product: Product) -> dict[str, Callable[..., Any]]:
    """Convolutions that torch does not give to oneDNN: those of a single small image."""

    def columns(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
        return torch.ops.aten.im2col(x, kernel, [1, 1], padding, stride)  # type: ignore[no-any-return]

    def forward(
        x: Tensor, weight: Tensor, kernel: list[int], bias: Tensor | None, stride: list[int], padding: list[int]
    ) -> Tensor:
        height, width = (
            (size + 2 * pad - side) // step + 1
            for size, pad, side, step in zip(x.shape[2:], padding, kernel, stride, strict=True)
        )
        flat = weight.reshape(len(weight), -1).expand(len(x), -1, -1)
        out = product(flat, columns(x, kernel, stride, padding)).view(len(x), len(weight), height, width)
        return out if bias is None else out.add_(bias.view(-1, 1, 1))

    def backward(
        grad: Tensor, x: Tensor, weight: Tensor, kernel: list[int], stride: list[int], padding: list[int],
        output_mask: list[bool],
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
        of_inputs = of_weight = None
        rows = grad.reshape(len(grad), len(weight), -1)
        if output_mask[0]:
            flat = weight.reshape(len(weight), -1).t().expand(len(x), -1, -1)
            of_inputs = torch.ops.aten.col2im(product(flat, rows), x.shape[2:], kernel, [1, 1], padding, stride)
        if output_mask[1]:
            of_weight = product(rows, columns(x, kernel, stride, padding).transpose(1, 2)).sum(0).view_as(weight)
        return of_inputs, of_weight, grad.sum((0, 2, 3)) if output_mask[2] else None

    return {
        "_slow_conv2d_forward": forward,
        "_slow_conv2d_forward.output": lambda *args, output: output.resize_((v := forward(*args)).shape).copy_(v),
        "_slow_conv2d_backward.output_mask": backward,
    }
