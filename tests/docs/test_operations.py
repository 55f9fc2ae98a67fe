"""The commands of docs/operations.md that make the resources end with the settings for them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.pages import ROOT, blocks

from offpoll import Settings

#: Answers as the AWS CLI does, as far as the commands read it, and remembers what it was asked.
AWS = """#!/bin/sh
echo "$*" >> "$LOG"
while [ "$1" != --queue-name ] && [ $# -gt 1 ]; do shift; done
case "$1" in --queue-name) echo "https://sqs.eu-west-1.amazonaws.com/123456789012/$2" ;; esac
"""


@pytest.mark.skipif(not shutil.which("jq") or not shutil.which("openssl"), reason="needs jq and openssl")
def test_the_commands_print_their_settings(tmp_path: Path) -> None:
    """Every setting without which nothing starts, for the resources that were just made."""
    (block,) = (each for each in blocks("bash") if each.page == ROOT / "docs/operations.md" and "create-table" in each.code)
    (tmp_path / "aws").write_text(AWS)
    (tmp_path / "aws").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    printed = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    settings = Settings.load(environ=printed)
    settings.need("secret", "bucket", "queue_url", "dead_letter_queue_url", "parking_queue_url", "records_table")
    log = (tmp_path / "log").read_text()
    assert f"create-bucket --bucket {settings.bucket} " in log
    assert f"create-table --table-name {settings.records_table} " in log
    for url in (settings.queue_url, settings.dead_letter_queue_url, settings.parking_queue_url):
        assert f"create-queue --queue-name {url.rpartition('/')[2]} " in log
