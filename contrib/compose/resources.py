"""Makes the bucket, the queues and the table in the emulator that `compose.yaml` starts to try offpoll. A second run changes nothing."""

from __future__ import annotations

import os

import boto3
from botocore.exceptions import ClientError

from offpoll import Settings
from offpoll.cli.dev.resources import make_resources

#: The most attempts that any kind of the app has.
ATTEMPTS = 3


def main() -> None:
    """Make the resources, unless they exist."""
    try:
        boto3.client("s3").head_bucket(Bucket=os.environ["OFFPOLL_BUCKET"])
    except ClientError:
        make_resources(os.environ["AWS_ENDPOINT_URL"], settings=Settings.load(environ=os.environ), attempts=ATTEMPTS)


if __name__ == "__main__":
    main()
