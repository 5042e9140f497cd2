"""Data: from a public or local source to prepared shards, and from shards to batches.

`catalog` and `fetch` find the files, `sources` reads them, `split` and `prepared` write the shards,
`order`, `augment` and `batches` turn them into batches that are a function of (data, seed, step).
"""
