"""Images with a mask each."""

from __future__ import annotations

from pathlib import PurePosixPath

from samebits.data.readers.image.masks import FOLDERS
from samebits.starting.found import Asked, Found, Proposal
from samebits.starting.images import no_column, of_images

_RECIPE = "image_masks"


def fits(found: Found) -> str:
    """Images in a folder `images`, and others in a folder `masks`."""
    counts = [sum(folder in PurePosixPath(each.name).parts[:-1] for each in found.images) for folder in FOLDERS]
    if not found.is_folder or not all(counts):
        return ""
    return f"{counts[0]:,} files in a folder {FOLDERS[0]}, and {counts[1]:,} in a folder {FOLDERS[1]}"


def propose(found: Found, asked: Asked) -> Proposal:
    """A segmentation."""
    no_column(asked)
    members = [each for each in found.images if FOLDERS[0] in PurePosixPath(each.name).parts[:-1]]
    proposal = of_images(found, members, _RECIPE)
    if len(members) < 100:
        proposal.warnings.append(f"{len(members):,} images are few for a net that learns from scratch")
    return proposal
