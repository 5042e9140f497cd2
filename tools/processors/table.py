"""Processors of x86-64 with AVX2, as their CPUID describes them: vendor, model, instructions, caches, topology."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

Words = tuple[int, int, int, int]
"""EAX, EBX, ECX, EDX."""

_ANY = 0xFFFFFFFF
"""Any subleaf."""


def _bits(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


@dataclasses.dataclass(frozen=True)
class Processor:
    """One processor. Sizes of caches in KiB; `l3` is what one group of cores shares.

    Args:
        leaf7: EBX, ECX and EDX of leaf 7: instructions since AVX2.
        leaf7_1: EAX of its subleaf 1.
        cores: of one socket; `threads` per core.
        l1_ways, l2_ways, l3_ways: associativity of the data caches.
        l3_sharing: how many hardware threads share an L3 cache.
    """

    title: str
    vendor: str
    family: int
    model: int
    stepping: int
    leaf7: tuple[int, int, int]
    leaf7_1: int
    cores: int
    l1: int
    l2: int
    l3: int
    l1_ways: int = 8
    l2_ways: int = 8
    l3_ways: int = 16
    l3_sharing: int = 0
    threads: int = 2

    @property
    def amd(self) -> bool:
        return self.vendor == "AuthenticAMD"

    @property
    def avx512(self) -> bool:
        return bool(self.leaf7[0] & _bits(16))

    def answers(self) -> Iterator[tuple[int, int, Words]]:
        """(leaf, subleaf, registers); every other leaf is zero."""
        total = self.cores * self.threads
        b, d, c = (int.from_bytes(self.vendor[at : at + 4].encode(), "little") for at in (0, 4, 8))
        yield 0, _ANY, (0x10 if self.amd else 0x1F, b, c, d)
        yield 1, _ANY, (self._signature(), 8 << 8 | min(total, 255) << 16, 0x7FFAFBFF, 0xBFEBFBFF)
        if not self.amd:
            yield 2, _ANY, (0x00FEFF01, 0xF0, 0, 0)
            for number, words in enumerate(self._caches()):
                yield 4, number, (words[0] | min(self.cores - 1, 63) << 26, *words[1:])
        yield 7, 0, (1, *self.leaf7)
        yield 7, 1, (self.leaf7_1, 0, 0, 0)
        width = (total - 1).bit_length()
        for leaf in (0xB,) if self.amd else (0xB, 0x1F):
            yield leaf, 0, (self.threads - 1, self.threads, 1 << 8, 0)
            yield leaf, 1, (width, total, 2 << 8 | 1, 0)
        yield 0x16, _ANY, (0 if self.amd else 2600, 0 if self.amd else 3600, 0 if self.amd else 100, 0)
        yield 0x80000000, _ANY, (0x80000020 if self.amd else 0x80000008, b if self.amd else 0, 0, 0)
        yield 0x80000001, _ANY, (0, 0, 0x75C237FF if self.amd else 0x121, 0x2FD3FBFF if self.amd else 0x2C100800)
        brand = self.title.encode().ljust(48, b"\0")
        for part in range(3):
            at = (int.from_bytes(brand[start : start + 4], "little") for start in range(part * 16, part * 16 + 16, 4))
            yield 0x80000002 + part, _ANY, tuple(at)  # type: ignore[misc]
        first = self.l1 << 24 | self.l1_ways << 16 | 1 << 8 | 64
        third = (self.l3 // 512) << 18 | 9 << 12 | 1 << 8 | 64
        yield 0x80000005, _ANY, (0, 0, first if self.amd else 0, first if self.amd else 0)
        yield 0x80000006, _ANY, (0, 0, self.l2 << 16 | 6 << 12 | 1 << 8 | 64, third if self.amd else 0)
        yield 0x80000007, _ANY, (0, 0, 0, 1 << 8)
        yield 0x80000008, _ANY, (0x3030, 0, min(total - 1, 255) | width << 12 if self.amd else 0, 0)
        if self.amd:
            for number, words in enumerate(self._caches()):
                yield 0x8000001D, number, words
            yield 0x8000001E, _ANY, (0, (self.threads - 1) << 8, 0, 0)

    def _signature(self) -> int:
        extended = max(self.family - 15, 0) << 20 | min(self.family, 15) << 8
        return extended | (self.model >> 4) << 16 | (self.model & 15) << 4 | self.stepping

    def _caches(self) -> Iterator[Words]:
        shared = self.l3_sharing or self.cores * self.threads
        for level, kind, size, ways, sharing in (
            (1, 1, self.l1, self.l1_ways, self.threads),
            (1, 2, 32, 8, self.threads),
            (2, 3, self.l2, self.l2_ways, self.threads),
            (3, 3, self.l3, self.l3_ways, shared),
        ):
            if size:
                sets = size * 1024 // (64 * ways)
                yield kind | level << 5 | 1 << 8 | (sharing - 1) << 14, 63 | (ways - 1) << 22, sets - 1, 0


_INTEL, _AMD = "GenuineIntel", "AuthenticAMD"

# Leaf 7, as the vendors' processors answer it.
_HASWELL = 0x000027AB
_BROADWELL = 0x021C27AB
_SKYLAKE = 0x029C6FBF
_SKYLAKE_X = 0xD39FFFFB
_ICE_LAKE = 0xF3BFBFFB
_VNNI = _bits(11)
_ICE_LAKE_ECX = 0x00405FCE
_AMX_FP16 = _bits(22, 23, 24, 25)
_AVX_VNNI, _BF16 = _bits(4), _bits(5)
_ZEN1, _ZEN2, _ZEN3, _ZEN4 = 0x209C01A9, 0x219C91A9, 0x219C97A9, 0xF1BF97A9


def _intel(title: str, model: int, stepping: int, leaf7: tuple[int, int, int], leaf7_1: int, **rest: int) -> Processor:
    return Processor(title, _INTEL, 6, model, stepping, leaf7, leaf7_1, **rest)


def _amd(title: str, family: int, model: int, leaf7: tuple[int, int, int], leaf7_1: int, **rest: int) -> Processor:
    return Processor(title, _AMD, family, model, 1, leaf7, leaf7_1, l1=32, **rest)


_SMALL = {"cores": 4, "l1": 32, "l2": 256, "l3": 8192}

_RAPTOR_LAKE = (0x239CA7EB, _bits(2, 3, 4, 5, 8, 9, 10, 22), _bits(15))

PROCESSORS: dict[str, Processor] = {
    "haswell": _intel("Intel Core i7-4770", 0x3C, 3, (_HASWELL, 0, 0), 0, **_SMALL),
    "broadwell": _intel(
        "Intel Xeon E5-2680 v4", 0x4F, 1, (_BROADWELL, 0, 0), 0, cores=14, l1=32, l2=256, l3=35840, l3_ways=20
    ),
    "skylake": _intel("Intel Core i7-6700", 0x5E, 3, (_SKYLAKE, 0, 0), 0, **{**_SMALL, "l2_ways": 4}),
    "skylake-x": _intel(
        "Intel Xeon Platinum 8180",
        0x55,
        4,
        (_SKYLAKE_X, 0, 0),
        0,
        cores=28,
        l1=32,
        l2=1024,
        l2_ways=16,
        l3=39424,
        l3_ways=11,
    ),
    "cascade-lake": _intel(
        "Intel Xeon Platinum 8280",
        0x55,
        7,
        (_SKYLAKE_X, _VNNI, 0),
        0,
        cores=28,
        l1=32,
        l2=1024,
        l2_ways=16,
        l3=39424,
        l3_ways=11,
    ),
    "cooper-lake": _intel(
        "Intel Xeon Platinum 8380H",
        0x55,
        11,
        (_SKYLAKE_X, _VNNI, 0),
        _BF16,
        cores=28,
        l1=32,
        l2=1024,
        l2_ways=16,
        l3=39424,
        l3_ways=11,
    ),
    "ice-lake": _intel(
        "Intel Xeon Platinum 8380",
        0x6A,
        6,
        (_ICE_LAKE, _ICE_LAKE_ECX, 0),
        0,
        cores=40,
        l1=48,
        l1_ways=12,
        l2=1280,
        l2_ways=20,
        l3=61440,
        l3_ways=12,
    ),
    "sapphire-rapids": _intel(
        "Intel Xeon Platinum 8480+",
        0x8F,
        8,
        (_ICE_LAKE, _ICE_LAKE_ECX, _AMX_FP16),
        _AVX_VNNI | _BF16,
        cores=56,
        l1=48,
        l1_ways=12,
        l2=2048,
        l2_ways=16,
        l3=107520,
        l3_ways=15,
    ),
    "emerald-rapids": _intel(
        "Intel Xeon Platinum 8592+",
        0xCF,
        2,
        (_ICE_LAKE, _ICE_LAKE_ECX, _AMX_FP16),
        _AVX_VNNI | _BF16,
        cores=64,
        l1=48,
        l1_ways=12,
        l2=2048,
        l2_ways=16,
        l3=327680,
        l3_ways=20,
    ),
    "granite-rapids": _intel(
        "Intel Xeon 6980P",
        0xAD,
        1,
        (_ICE_LAKE, _ICE_LAKE_ECX, _AMX_FP16),
        _AVX_VNNI | _BF16,
        cores=128,
        l1=48,
        l1_ways=12,
        l2=2048,
        l2_ways=16,
        l3=516096,
        l3_ways=16,
    ),
    "raptor-lake": _intel(
        "Intel Core i9-13900K",
        0xB7,
        1,
        _RAPTOR_LAKE,
        _AVX_VNNI,
        cores=8,
        l1=48,
        l1_ways=12,
        l2=2048,
        l2_ways=16,
        l3=36864,
        l3_ways=12,
    ),
    "zen1": _amd("AMD EPYC 7601", 0x17, 0x01, (_ZEN1, 0, 0), 0, cores=32, l2=512, l3=8192, l3_sharing=8),
    "zen2": _amd("AMD EPYC 7742", 0x17, 0x31, (_ZEN2, 0x400004, 0), 0, cores=64, l2=512, l3=16384, l3_sharing=8),
    "zen3": _amd("AMD EPYC 7763", 0x19, 0x01, (_ZEN3, 0x40068C, 0), 0, cores=64, l2=512, l3=32768, l3_sharing=16),
    "zen4": _amd(
        "AMD EPYC 9654", 0x19, 0x11, (_ZEN4, _ICE_LAKE_ECX, 0), _BF16, cores=96, l2=1024, l3=32768, l3_sharing=16
    ),
    "zen5": _amd(
        "AMD EPYC 9755",
        0x1A,
        0x02,
        (_ZEN4, _ICE_LAKE_ECX | _bits(27, 28), _bits(8)),
        _AVX_VNNI | _BF16,
        cores=128,
        l2=1024,
        l3=32768,
        l3_sharing=16,
    ),
}

# Other sizes of caches, as smaller models of a kind have them, and none at all.
PROCESSORS |= {
    "haswell-small": dataclasses.replace(PROCESSORS["haswell"], title="Intel Haswell, small", cores=2, l3=2048),
    "haswell-no-l3": dataclasses.replace(PROCESSORS["haswell"], title="Intel Haswell without L3", l3=0),
    "skylake-x-large": dataclasses.replace(PROCESSORS["skylake-x"], title="Intel Skylake-X, L1 48", l1=48, l1_ways=12),
    "zen2-small": dataclasses.replace(PROCESSORS["zen2"], title="AMD Ryzen 3, small", cores=2, l3=4096, threads=1),
    "zen4-small": dataclasses.replace(PROCESSORS["zen4"], title="AMD Zen 4, small", cores=4, l2=512, l3=8192),
    "zen4-3d": dataclasses.replace(PROCESSORS["zen4"], title="AMD EPYC 9684X", l3=98304),
}  # fmt: skip


def text(processor: Processor) -> str:
    """The answers as `answers.c` reads them."""
    rows = (f"{leaf:x} {sub:x} " + " ".join(f"{word:x}" for word in words) for leaf, sub, words in processor.answers())
    return "\n".join(rows) + "\n"
