"""A decoder-only transformer that predicts the next token: rotary positions, RMSNorm before each block, no biases.

The same weights run in two ways: `forward` over whole rows, for training, and `decode_step` over a KV cache,
for generating text.

Sources: GPT-2 (Radford et al., 2019) for the shape; RoFormer (Su et al., 2021) for the positions; Zhang and Sennrich
(2019) for RMSNorm; Shazeer (2020) for SwiGLU; So et al. (2021) for the squared ReLU.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.models.layers.attention import attend
from samebits.models.layers.dropout import Dropout
from samebits.models.layers.in_transformers import InTransformers
from samebits.params.section import Section
from samebits.signature.signature import Signature

PRESETS = {
    "nano": (4, 4, 128),
    "small": (6, 6, 384),
    "gpt2": (12, 12, 768),
    "medium": (24, 16, 1024),
}
"""Name -> layers, heads, width. `gpt2` and `medium` are GPT-2's two smaller sizes (124 and 350 million parameters)."""


class Settings(Section):
    """The `model` section for `name: gpt`.

    Attributes:
        preset: layers, heads and width: `nano` 4, 4, 128; `small` 6, 6, 384; `gpt2` 12, 12, 768; `medium` 24, 16, 1024.
        layers: blocks of attention and MLP; null: the preset's.
        heads: of attention; null: the preset's. width / heads must be even.
        width: of the residual stream; null: the preset's.
        mlp: `swiglu` or `relu2`, both with 8 width² weights.
        tied: one matrix embeds tokens and scores them.
        dropout: probability of zeroing a value after the embedding and each block.
        rope_base: longest wavelength of the rotary positions is 2 pi times this.
    """

    name: Literal["gpt"]
    preset: Literal["nano", "small", "gpt2", "medium"] = "nano"
    layers: int | None = Field(default=None, ge=1, le=256)
    heads: int | None = Field(default=None, ge=1, le=256)
    width: int | None = Field(default=None, ge=2, le=16384)
    mlp: Literal["swiglu", "relu2"] = "relu2"
    tied: bool = True
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    rope_base: float = Field(default=10000.0, gt=1.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, heads, width."""
        layers, heads, width = PRESETS[self.preset]
        return self.layers or layers, self.heads or heads, self.width or width


class Attention(nn.Module):
    """Causal self-attention with rotary positions, float [N, L, width] -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = self._project(x, cos, sin)
        return self._merge(attend(q, k, v, causal=True))

    def decode_step(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same for L more positions after P cached ones.

        Args:
            mask: bool [L, P + L], true where a position may look.
            keys, values: of the cached positions, [N, heads, P, width / heads].

        Returns:
            the output, and keys and values of all P + L positions.
        """
        q, k, v = self._project(x, cos, sin)
        keys, values = torch.cat((keys, k), dim=2), torch.cat((values, v), dim=2)
        return self._merge(attend(q, keys, values, mask)), keys, values

    def _project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, [N, heads, L, width / heads]; the first two rotated."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def _merge(self, heads: Tensor) -> Tensor:
        merged: Tensor = self.out(heads.transpose(1, 2).flatten(2))
        return merged


class Mlp(nn.Module):
    """Two or three matrices with 8 width² weights in all, float [N, L, width] -> the same."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.gated = kind == "swiglu"
        # Multiples of 32 keep matrix kernels on their fast path.
        hidden = 32 * math.ceil(8 * width / 3 / 32) if self.gated else 4 * width
        self.up = nn.Linear(width, 2 * hidden if self.gated else hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.up(x)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = functional.silu(gate) * hidden
        else:
            hidden = functional.relu(hidden).square()
        merged: Tensor = self.out(hidden)
        return merged


class Block(nn.Module):
    """Attention, then the MLP, each on the normalised stream and added to it."""

    def __init__(self, width: int, heads: int, settings: Settings) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.RMSNorm(width, eps=1e-6)
        self.mlp = Mlp(width, settings.mlp)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin))
        x = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return x

    def decode_step(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Attention.decode_step`."""
        mixed, keys, values = self.attention.decode_step(self.attention_norm(x), cos, sin, mask, keys, values)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.mlp(self.mlp_norm(x))), keys, values


class Gpt(nn.Module):
    """Tokens, integers [N, L] with L up to the context -> logits of the next token, [N, L, vocabulary].

    Attributes:
        kv_cache_shape: (layers, heads, width / heads) of the cache that `decode_step` takes.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, vocabulary: int, context: int, settings: Settings) -> None:
        super().__init__()
        layers, heads, width = settings.shape
        if width % (2 * heads):
            raise UserError(
                f"a gpt of width {width} cannot have {heads} heads: width / heads must be even",
                f"set model.heads to a divisor of {width // 2}, or change model.width",
            )
        self.kv_cache_shape = (layers, heads, width // heads)
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = Dropout(settings.dropout)
        self.blocks = nn.ModuleList(Block(width, heads, settings) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.head = None if settings.tied else nn.Linear(width, vocabulary, bias=False)
        cos, sin = rotary_angles(context, width // heads, settings.rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise(layers, width)

    def _initialise(self, layers: int, width: int) -> None:
        """Matrices keep the variance of what goes through them; the last ones of a block start small, so that the
        residual stream does not grow with depth (GPT-2). Scores start near 0, the loss near log(vocabulary)."""
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                continue
            scale = 1.0 / math.sqrt(parameter.shape[1])
            if name.endswith("out.weight"):
                scale /= math.sqrt(2 * layers)
            elif name.startswith(("embedding", "head")):
                scale = 0.02
            nn.init.normal_(parameter, std=scale)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, cos, sin)
        return self._scores(x)

    def decode_step(self, tokens: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores for L more tokens after P cached ones; P + L is at most the context.

        Args:
            tokens: integers [N, L].
            keys, values: [layers, N, heads, P, width / heads]; P is 0 at the start.

        Returns:
            logits [N, L, vocabulary], and keys and values of all P + L positions.
        """
        past, length = keys.shape[3], tokens.shape[1]
        total = past + length
        # Gathered, not sliced: a slice that ends at a symbol would bring min() into the exported graph.
        places = torch.arange(past, total, device=tokens.device)
        cos, sin = self.cos[places], self.sin[places]
        mask = torch.arange(total, device=tokens.device)[None, :] <= places[:, None]
        x = self.embedding(tokens)
        new_keys, new_values = [], []
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x, k, v = block.decode_step(x, cos, sin, mask, keys[index], values[index])
            new_keys.append(k)
            new_values.append(v)
        return self._scores(x), torch.stack(new_keys), torch.stack(new_values)

    def _scores(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        logits: Tensor = functional.linear(x, self.embedding.weight) if self.head is None else self.head(x)
        return logits


def rotary_angles(context: int, size: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position and pair of features, float32 [context, size / 2] each."""
    frequencies = base ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x[i], x[i + size / 2]) by the angle of their position: [N, heads, L, size]."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def in_transformers(network: Gpt, settings: Settings, signature: Signature) -> InTransformers:
    """The same model as a class of `transformers`: Llama with `swiglu`, Arcee, which is Llama with a squared ReLU, with
    `relu2`."""
    layers, heads, width = settings.shape
    gated, given = settings.mlp == "swiglu", network.state_dict()
    weights = {"model.embed_tokens.weight": given["embedding.weight"], "model.norm.weight": given["norm.weight"]}
    if not settings.tied:
        weights["lm_head.weight"] = given["head.weight"]
    for k in range(layers):
        own, theirs = f"blocks.{k}", f"model.layers.{k}"
        for name, value in zip("qkv", given[f"{own}.attention.qkv.weight"].chunk(3), strict=True):
            weights[f"{theirs}.self_attn.{name}_proj.weight"] = value
        up = given[f"{own}.mlp.up.weight"].chunk(2) if gated else [given[f"{own}.mlp.up.weight"]]
        for name, value in zip(("gate", "up") if gated else ("up",), up, strict=True):
            weights[f"{theirs}.mlp.{name}_proj.weight"] = value
        weights |= {
            f"{theirs}.self_attn.o_proj.weight": given[f"{own}.attention.out.weight"],
            f"{theirs}.mlp.down_proj.weight": given[f"{own}.mlp.out.weight"],
            f"{theirs}.input_layernorm.weight": given[f"{own}.attention_norm.weight"],
            f"{theirs}.post_attention_layernorm.weight": given[f"{own}.mlp_norm.weight"],
        }
    config = {
        "architectures": ["LlamaForCausalLM" if gated else "ArceeForCausalLM"],
        "model_type": "llama" if gated else "arcee",
        "vocab_size": signature.outputs,
        "hidden_size": width,
        "intermediate_size": given["blocks.0.mlp.out.weight"].shape[1],
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "hidden_act": "silu" if gated else "relu2",
        "max_position_embeddings": signature.tokens.length,
        "rms_norm_eps": 1e-6,
        "rope_theta": settings.rope_base,  # as releases before 5 call it
        "rope_parameters": {"rope_type": "default", "rope_theta": settings.rope_base},
        "tie_word_embeddings": settings.tied,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
    }
    return InTransformers(config, weights)


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A Gpt for tokens.

    Raises:
        UserError: for other data, or heads that do not divide the width.
    """
    return Gpt(signature.outputs, signature.tokens.length, settings)
