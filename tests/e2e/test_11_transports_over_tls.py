"""TLS towards clients: all that works over TCP works over TLS."""

import os

import pytest

import test_10_transports
from certificates import own_certificate

globals().update({name: test for name, test in vars(test_10_transports).items()
                  if name.startswith("test_")})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return own_certificate(tmp_path_factory.mktemp("certificates"),
                           "127.0.0.1", "localhost")


@pytest.fixture
def penstock(penstock, certificate, monkeypatch):
    """The usual one, but for TLS; curl and node trust it."""
    for name in ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.setitem(os.environ, name, str(certificate.cert))

    def start(config, **options):
        return penstock(config, **{"tls": certificate, **options})
    return start
