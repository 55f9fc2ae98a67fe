"""AWS's own hosts equal botocore's, in every region of every partition that botocore knows, in every variant."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader

from offpoll.aws.endpoints import Endpoints, bucket_endpoint
from offpoll.errors import ConfigurationError

SERVICES = ("s3", "sqs", "dynamodb", "sts")
LOADER = Loader()
VARIANTS = list(itertools.product((False, True), repeat=2))
PARTITIONS = LOADER.load_data("partitions")["partitions"]

#: Every region that botocore lists but the pseudo-regions; of each partition one that it does not list yet; one of no partition.
REGIONS = [
    *(region for partition in PARTITIONS for region in partition["regions"] if not region.endswith("-global")),
    *("us-west-99", "cn-new-9", "us-gov-new-9", "us-iso-new-9", "us-isob-new-9", "us-isof-new-9", "eu-isoe-new-9", "eusc-de-new-9"),
    "xx-new-1",
]


@cache
def rules(service: str) -> EndpointProvider:
    return EndpointProvider(LOADER.load_service_model(service, "endpoint-rule-set-1"), LOADER.load_data("partitions"))


def botocores(service: str, *, region: str, fips: bool, dualstack: bool, **parameters: Any) -> str | None:
    """Return the origin by botocore's rules; None if they refuse."""
    if service == "s3":
        parameters |= {"Bucket": "docs", "ForcePathStyle": False, "Accelerate": False}
    if service in {"s3", "sts"}:
        parameters.setdefault("UseGlobalEndpoint", False)
    try:
        return rules(service).resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack, **parameters).url
    except EndpointProviderError:
        return None


def ours(service: str, endpoints: Endpoints) -> str | None:
    try:
        found = endpoints.service(service)
    except ConfigurationError:
        return None
    return bucket_endpoint(found, bucket="docs")[0].origin if service == "s3" else found.origin


@pytest.mark.parametrize(("fips", "dualstack"), VARIANTS)
@pytest.mark.parametrize("service", SERVICES)
def test_hosts_equal_botocores(service: str, fips: bool, dualstack: bool) -> None:
    """Each host is botocore's; where botocore refuses, so do we. A partition that botocore learns of makes this fail."""
    wrong = []
    for region in REGIONS:
        endpoints = Endpoints(region=region, overrides={}, fips=fips, dualstack=dualstack)
        want, got = botocores(service, region=region, fips=fips, dualstack=dualstack), ours(service, endpoints)
        if want != got:
            wrong.append((region, want, got))
    assert not wrong


@pytest.mark.parametrize(("fips", "dualstack"), VARIANTS)
def test_an_accounts_own_hosts_equal_botocores(fips: bool, dualstack: bool) -> None:
    """With an account's id DynamoDB is at the account's own host, where there is one."""
    for region in REGIONS:
        endpoints = Endpoints(region=region, overrides={}, fips=fips, dualstack=dualstack, account_id="123456789012")
        account = {"AccountId": "123456789012", "AccountIdEndpointMode": "preferred"}
        assert ours("dynamodb", endpoints) == botocores("dynamodb", region=region, fips=fips, dualstack=dualstack, **account)


@pytest.mark.parametrize("region", REGIONS)
def test_s3s_old_global_host_equals_botocores(region: str) -> None:
    """Only us-east-1 has the host without a region, and only without FIPS and dual stack."""
    for fips, dualstack in VARIANTS:
        endpoints = Endpoints(region=region, overrides={}, fips=fips, s3_dualstack=dualstack, s3_global=True)
        want = botocores("s3", region=region, fips=fips, dualstack=dualstack, UseGlobalEndpoint=region == "us-east-1")
        assert ours("s3", endpoints) == want


def test_an_unsupported_variant_is_named() -> None:
    """The error says which variable asks for what China does not have."""
    with pytest.raises(ConfigurationError, match="AWS_USE_FIPS_ENDPOINT"):
        Endpoints(region="cn-north-1", overrides={}, fips=True).service("s3")
