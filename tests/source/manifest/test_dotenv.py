"""The file `.env`, which may be a link to anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mosaic_deploy.errors import ManifestInvalid
from mosaic_deploy.source.manifest.dotenv import read_dotenv


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("device", [None, "/dev/zero", "/dev/tty"])
def test_a_pipe_or_device_is_not_waited_for(tmp_path: Path, device: str | None) -> None:
    if device is None:
        os.mkfifo(tmp_path / ".env")
    else:
        (tmp_path / ".env").symlink_to(device)
    with pytest.raises(ManifestInvalid) as refused:
        read_dotenv(tmp_path)
    assert len(refused.value.problems) == 1


def test_a_folder_is_no_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert read_dotenv(tmp_path) == {}
