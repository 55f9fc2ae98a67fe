"""Every setting that botocore knows is followed, refused, or known to have no effect on offpoll's calls; the documentation says which."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS
from tests.support.pages import ROOT

#: What the settings decide that offpoll follows, or refuses by name if it cannot.
FOLLOWED = {
    *("profile", "region", "config_file", "credentials_file", "ca_bundle"),
    *("use_dualstack_endpoint", "use_fips_endpoint", "ignore_configured_endpoint_urls", "account_id_endpoint_mode"),
    *("sts_regional_endpoints", "us_east_1_regional_endpoint", "endpoint_discovery_enabled"),
    *("retry_mode", "max_attempts", "request_checksum_calculation"),
    *("addressing_style", "use_accelerate_endpoint"),
}

#: Settings of the instance metadata service, which gives credentials and decides no host of ours.
OF_CREDENTIALS = {
    *("metadata_service_timeout", "metadata_service_num_attempts", "ec2_metadata_service_endpoint", "ec2_metadata_service_endpoint_mode"),
    *("ec2_metadata_v1_disabled", "imds_use_ipv6"),
}

#: Why the other settings change nothing.
WITHOUT_EFFECT = {
    **dict.fromkeys(("data_path", "api_versions", "parameter_validation"), "about botocore's own models"),
    **dict.fromkeys(("csm_enabled", "csm_host", "csm_port", "csm_client_id"), "botocore reports its calls; its source calls them internal"),
    **dict.fromkeys(("disable_request_compression", "request_min_compression_size_bytes"), "none of our calls may be compressed"),
    "disable_host_prefix_injection": "none of our calls has a host prefix",
    **dict.fromkeys(("use_arn_region", "s3_disable_multiregion_access_points"), "a bucket's ARN is refused"),
    **dict.fromkeys(("sigv4a_signing_region_set", "auth_scheme_preference"), "our calls' only scheme is version 4"),
    "s3_disable_express_session_auth": "directory buckets are refused",
    "payload_signing_enabled": "payloads are always signed",
    "response_checksum_validation": "TLS protects responses, and documents are checked when they are read",
    "user_agent_appid": "a name in a header",
    "tcp_keepalive": "idle connections are closed after 15 s",
    "defaults_mode": "offpoll's timeouts and retries are its own, near the mode `standard`",
}


def known() -> Iterator[tuple[str, list[str]]]:
    """Yield each setting of botocore by its name, and its variables."""
    for table in (BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS):
        for name, (_, variables, *_) in table.items():
            yield name, [variables] if isinstance(variables, str) else list(variables or ())


def test_every_setting_has_a_verdict() -> None:
    """A setting that botocore learns makes this fail until somebody decides what it means here."""
    assert {name for name, _ in known()} == FOLLOWED | OF_CREDENTIALS | WITHOUT_EFFECT.keys()
    assert len(FOLLOWED) + len(OF_CREDENTIALS) + len(WITHOUT_EFFECT) == len(FOLLOWED | OF_CREDENTIALS | WITHOUT_EFFECT.keys())


def test_the_documentation_names_what_is_followed() -> None:
    """A reader finds each variable that offpoll follows or refuses."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert [name for setting, names in known() if setting in FOLLOWED for name in names if f"`{name}`" not in page] == []
