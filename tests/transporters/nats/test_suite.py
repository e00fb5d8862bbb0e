"""The NATS transporter keeps what every transporter keeps."""

from __future__ import annotations

import pytest

from tautomer.transporters.nats import NatsTransporter
from tests.servers import NatsServer
from tests.transporters.suite import TransporterSuite


@pytest.mark.server
class TestNats(TransporterSuite):
    @pytest.fixture(autouse=True)
    def _server(self, shared_server: NatsServer) -> None:
        self.url = shared_server.url

    def make(self) -> NatsTransporter:
        return NatsTransporter(self.url)
