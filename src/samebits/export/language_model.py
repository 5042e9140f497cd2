"""Proof that an exported language model is the checkpoint's equal: scores of every test row, and 200 greedy tokens.

The checkpoint reads each row at once, without a cache; the exported graph is the one with the cache. So two things are
compared at once: the compiled computation with the eager one, and the cache with its absence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import rounded_single
from samebits.base.errors import UserError
from samebits.checkpoints.serving import GeneratingModel
from samebits.data.loading.prepared import Array, Split
from samebits.export.parity import Check, Parity, served_inputs
from samebits.inference.latency import median_milliseconds
from samebits.inference.sampling import GREEDY, generate
from samebits.metrics.scores import token_metrics
from samebits.params.export import ExportParams

Floats = npt.NDArray[np.float32]
RunAll = Callable[..., list[Floats]]

GREEDY_TOKENS = 200
_PROMPTS = 3
_PROMPT_TOKENS = 16
_LARGEST = 1 << 27
"""Scores computed at once, at most: 512 MiB."""


class LanguageModelParity:
    """Compares exported files with one checkpoint on one split."""

    def __init__(self, serving: GeneratingModel, split: Split, settings: ExportParams, check: Check) -> None:
        self.serving, self.split, self.settings, self.check = serving, split, settings, check
        tokens = split.info.signature.tokens
        self.context, self.vocabulary = tokens.length, tokens.vocabulary
        self.bytes_per_token = tokens.bytes_per_token
        layers, heads, size = serving.kv_cache_shape
        self.kv_cache_shape = (layers, heads, size)

    def eager(self, *inputs: Array) -> list[Floats]:
        """The checkpoint with its cache, as an exported file is called."""
        with torch.inference_mode():
            return [each.numpy() for each in self.serving(*map(torch.from_numpy, inputs))]

    def scores(self, tokens: Array) -> Floats:
        """The checkpoint without a cache: tokens [N, L] -> [N, L, V]."""
        with torch.inference_mode():
            found: Floats = self.serving.outputs(torch.from_numpy(tokens)).numpy()
        return found

    def score(self) -> dict[str, float]:
        """Loss of the checkpoint on the split, and what follows from it."""
        total = 0.0
        for rows in self._batches([8]):
            self.check()
            tokens, targets = self.split.samples(rows)
            with torch.inference_mode():
                outputs = self.serving.outputs(torch.from_numpy(tokens.astype(np.int32)))
                losses = torch.nn.functional.cross_entropy(
                    outputs.flatten(0, 1), torch.from_numpy(targets).flatten(), reduction="none"
                )
            total += float(losses.double().mean()) * len(rows)
        loss = total / len(self.split)
        scores = token_metrics(loss, self.bytes_per_token)
        return {name: value for name, each in scores.items() if (value := rounded_single(each)) is not None}

    def compare(self, name: str, run: RunAll) -> Parity:
        """Scores of every row, in batches of the sizes of `export.batch_sizes` in turn.

        Raises:
            UserError: if a score differs by more than `export.tolerance`.
        """
        differences: dict[int, float] = {}
        for rows in self._batches(self.settings.batch_sizes):
            self.check()
            tokens = served_inputs(self.split, rows)
            gap = float(np.abs(run(tokens, *self._empty(len(rows)))[0] - self.scores(tokens)).max())
            if not gap <= self.settings.tolerance:  # NaN included
                raise UserError(
                    f"the {name} export is not the checkpoint's equal: a score differs by {gap:.3g} in test rows "
                    f"{rows[0]} to {rows[-1]}, export.tolerance is {self.settings.tolerance:g}",
                    f"raise export.tolerance if that is acceptable, or remove {name} from export.formats; "
                    "nothing was written",
                )
            differences[len(rows)] = max(gap, differences.get(len(rows), 0.0))
        return Parity(dict(sorted(differences.items())), 0)

    def greedy(self, name: str, run: RunAll) -> int:
        """Continue test rows by the most probable token, with the cache and without; they must agree.

        Two scores within `export.tolerance` of each other count as a tie, after which texts may part.

        Returns:
            how many tokens were compared.

        Raises:
            UserError: if a token differs.
        """
        compared = 0
        places = np.linspace(0, len(self.split) - 1, min(_PROMPTS, len(self.split))).astype(np.int64)
        for row in self.split.rows(places):
            prompt = row[: min(_PROMPT_TOKENS, self.context)].tolist()
            made = islice(generate(run, self.kv_cache_shape, self.context, prompt, GREEDY), GREEDY_TOKENS)
            for token, (expected, clear) in zip(made, self._greedy_by_rereading(prompt), strict=False):
                self.check()
                compared += 1
                if token == expected:
                    continue
                if clear:
                    raise UserError(
                        f"the {name} export is not the checkpoint's equal: greedy token {compared} is {token}, "
                        f"not {expected}",
                        f"remove {name} from export.formats; nothing was written",
                    )
                break
        return compared

    def _greedy_by_rereading(self, prompt: list[int]) -> Iterator[tuple[int, bool]]:
        """Each greedy token, and whether it is clear of a tie: the whole window is read again for every token."""
        window = list(prompt)
        while True:
            scores = self.scores(np.array([window], dtype=np.int32))[0, -1]
            token = int(scores.argmax())
            second, first = np.partition(scores, -2)[-2:]
            yield token, float(first - second) > self.settings.tolerance
            window.append(token)
            if len(window) > self.context:
                window = window[-max(1, self.context // 2) :]

    def latencies(self, runs: Mapping[str, RunAll], say: Callable[[str], None]) -> dict[str, float]:
        """`name/...` -> median milliseconds: reading a full context, and one more token after half of it."""
        times: dict[str, float] = {}
        row = served_inputs(self.split, np.zeros(1, dtype=np.int64))
        half = self.serving.cache(1, self.context // 2).numpy()
        for name, run in runs.items():
            [prompt] = median_milliseconds(partial(run, row, *self._empty(1)))
            [token] = median_milliseconds(partial(run, row[:, :1], half, half))
            times[f"{name}/latency_ms_prompt"], times[f"{name}/latency_ms_token"] = round(prompt, 4), round(token, 4)
            say(
                f"{name:<12} {prompt:7.3f} ms for a prompt of {self.context:,} tokens, then {1e3 / token:,.0f} "
                "tokens/s (one core)"
            )
        return times

    def _empty(self, batch: int) -> tuple[Floats, Floats]:
        empty: Floats = self.serving.cache(batch).numpy()
        return empty, empty

    def _batches(self, sizes: list[int]) -> Iterator[npt.NDArray[np.int64]]:
        """Every row once, in order, in batches whose sizes take turns, as far as scores fit in memory."""
        most = max(1, _LARGEST // (self.context * self.vocabulary))
        start, turn = 0, 0
        while start < len(self.split):
            end = min(start + min(sizes[turn % len(sizes)], most), len(self.split))
            yield np.arange(start, end, dtype=np.int64)
            start, turn = end, turn + 1
