"""States that a training keeps on the way, and the Merkle root that commits to them."""
