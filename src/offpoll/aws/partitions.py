"""AWS's own host names: one rule for every region of every partition.

`tests/aws/test_partitions.py` compares them with botocore's data, and fails when that knows more.
"""

from __future__ import annotations

from offpoll.errors import ConfigurationError

__all__ = ["aws_host"]

#: Partitions by the prefix of their regions; the suffix of their hosts, and of their dual-stack hosts (botocore's partitions.json).
PARTITIONS = (
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("", "amazonaws.com", "api.aws"),
)

_CHINA, _GOV = "cn-", "us-gov-"

#: Regions that share `amazonaws.com` with the partition `aws`, but belong to another one.
_OTHERS = (_GOV, *(prefix for prefix, *_ in PARTITIONS if prefix))


def aws_host(service: str, *, region: str, fips: bool = False, dualstack: bool = False, account_id: str = "") -> str:
    """Return a service's host in a region.

    Args:
        service: `s3`, `sqs`, `dynamodb` or `sts`.
        region: as `eu-west-1`.
        fips: whether its cryptography must be validated by FIPS 140.
        dualstack: whether it must have IPv6 too.
        account_id: the account whose own DynamoDB host is preferred, where there is one.

    Raises:
        ConfigurationError: there is no such host.
    """
    suffix, dual_suffix = next((plain, dual) for prefix, plain, dual in PARTITIONS if region.startswith(prefix))
    if service == "s3":
        if fips and region.startswith(_CHINA):
            raise ConfigurationError(f"S3 has no FIPS endpoint in {region}: unset AWS_USE_FIPS_ENDPOINT and use_fips_endpoint")
        return f"s3{'-fips' if fips else ''}{'.dualstack' if dualstack else ''}.{region}.{suffix}"
    if service == "dynamodb" and account_id and not fips and not region.startswith(_OTHERS):
        return f"{account_id}.ddb.{region}.{dual_suffix if dualstack else suffix}"
    named = fips and (dualstack or not region.startswith(_GOV))  # in GovCloud the plain hosts are validated
    return f"{service}{'-fips' if named else ''}.{region}.{dual_suffix if dualstack else suffix}"
