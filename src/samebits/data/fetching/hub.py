"""Files of a model on the Hugging Face hub, at one commit, through the cache.

`HF_ENDPOINT` names another host that has them under the same paths, such as a mirror, as it does for the hub's library.
"""

from __future__ import annotations

import os
from pathlib import Path

from samebits.base.errors import UserError
from samebits.data.fetching.fetch import Say, fetch_url
from samebits.data.fetching.verified import ProgressMode

CONFIG = "config.json"
TENSORS = "model.safetensors"
_HOST = "https://huggingface.co"
# BERT-large is 1.3 GB; no config.json that describes a model is near its limit.
_LARGEST_BYTES = {CONFIG: 1 << 20, TENSORS: 8 << 30}


def fetch_hub(
    model: str, revision: str, file: str, sha256: str = "", *, say: Say = print, progress: ProgressMode = "auto"
) -> Path:
    """One file of a model that everybody may read.

    Args:
        model: ORGANISATION/NAME.
        revision: the commit, 40 hex digits; unlike a branch, it holds the same files for ever.
        file: `CONFIG` or `TENSORS`.
        sha256: of the file, where it is known.

    Raises:
        UserError: it cannot be had, or is another file.
    """
    host = (os.environ.get("HF_ENDPOINT") or _HOST).rstrip("/")
    if not host.startswith(("https://", "http://")):
        raise UserError(f"HF_ENDPOINT is {host}, no address", "begin it with https://, or unset it")
    name = f"{model.replace('/', '--')}--{revision}--{file}"
    url = f"{host}/{model}/resolve/{revision}/{file}"
    try:
        return fetch_url(url, sha256, limit=_LARGEST_BYTES[file], name=name, say=say, progress=progress)
    except UserError as error:
        raise UserError(
            error.problem,
            f"check the network and transfer.weights, .revision and .sha256; or put {CONFIG} and {TENSORS} "
            "into a folder below data/raw and name that folder in transfer.weights",
        ) from None
