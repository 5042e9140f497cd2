"""A copy that shares the project's cache."""

from __future__ import annotations

from pathlib import Path

from dvc.config import Config

from samebits.pipeline.dvc_cache import Objects, share_cache


def test_a_copy_uses_the_cache_and_the_remotes_of_a_project_with_any_name(tmp_path: Path) -> None:
    root, copy = tmp_path / "pröject", tmp_path / "copy (é)"
    (root / ".dvc").mkdir(parents=True)
    (copy / ".dvc").mkdir(parents=True)
    own = "['remote \"team\"']\n    url = ssh://b/ä\n    password = a b\n"
    (root / ".dvc" / "config.local").write_text(own, "utf-8")
    (root / ".dvc" / "config").write_text("['remote \"near\"']\n    url = ../../store\n", "utf-8")
    share_cache(root, copy, Objects(root / ".dvc" / "cache"))
    config = Config(dvc_dir=str(copy / ".dvc"))
    assert config["remote"]["near"]["url"] == str(tmp_path / "store"), "as the project means it, wherever the copy is"
    assert config["cache"]["dir"] == str(root / ".dvc" / "cache")
    assert config["remote"]["team"]["url"] == "ssh://b/ä"
    assert config["remote"]["team"]["password"] == "a b"  # pragma: allowlist secret
    assert (copy / ".dvc" / "config.local").stat().st_mode & 0o777 == 0o600
