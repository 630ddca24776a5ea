"""DICOM over TLS, each side showing a certificate, in both roles, with each peer."""

import ssl

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from support import Server
from support_matrix import cell
from support_network import Ours, ask_orthanc, run
from support_orthanc import Orthanc, program
from support_peers import Pynetdicom, storescp
from support_ports import free_port
from support_sending import certify

pytestmark = [pytest.mark.peer, pytest.mark.peers]

NAMES = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
NO_AUTHORITY = ("-addext", "basicConstraints=CA:FALSE")


class Certificates:
    """What one authority signed for us and for the peers."""

    def __init__(self, folder):
        authority = certify(folder, "authority")
        self.trusted = authority[0]
        self.ours = certify(folder, "ours", authority, *NAMES, *NO_AUTHORITY)
        self.peer = certify(folder, "peer", authority, *NAMES, *NO_AUTHORITY)

    def options(self, flag="+tls"):
        """Return options of DCMTK's programs."""
        certificate, key = self.peer
        return [flag, key, certificate, "+cf", self.trusted]

    def context(self, purpose):
        context = ssl.create_default_context(purpose, cafile=self.trusted)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(*self.peer)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(certificates, tmp_path_factory):
    """Run our server with TLS, for associations alone."""
    certificate, key = certificates.ours
    server = Server(
        tmp_path_factory.mktemp("secure") / "data",
        "--set=dicom.tls=true",
        f"--set=tls.certificate={certificate}",
        f"--set=tls.private_key={key}",
        f"--set=tls.trusted_certificates={certificates.trusted}",
    )
    try:
        yield Ours(server.start())
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def secure_orthanc(secure, certificates, tmp_path_factory):
    certificate, key = map(str, certificates.peer)
    vna = {"AET": "VNA", "Host": "127.0.0.1", "Port": secure.port, "UseDicomTls": True}
    peer = Orthanc(
        program(),
        tmp_path_factory.mktemp("orthanc-tls"),
        DicomAet="ORTHANC",
        DicomModalities={"vna": vna},
        DicomPort=free_port(),
        DicomServerEnabled=True,
        DicomTlsCertificate=certificate,
        DicomTlsEnabled=True,
        DicomTlsPrivateKey=key,
        DicomTlsTrustedCertificates=str(certificates.trusted),
    )
    try:
        peer.start()
        secure.know("orthanc", "ORTHANC", peer.settings["DicomPort"], UseDicomTls=True)
        yield peer
    finally:
        peer.stop()


@cell("Verification over TLS", "SCP", "DCMTK")
def test_echoscu_is_answered(secure, certificates):
    run("echoscu", *certificates.options(), "-aec", "VNA", secure.host, secure.port)
    # Without TLS nobody is there, nor for who cannot show a certificate.
    run("echoscu", "-aec", "VNA", secure.host, secure.port, status=1)
    anonymous = ["+tla", "+cf", certificates.trusted]
    run("echoscu", *anonymous, "-aec", "VNA", secure.host, secure.port, status=1)


@cell("Verification over TLS", "SCP", "pynetdicom")
def test_pynetdicom_is_answered(secure, certificates):
    ae = AE("SCU")
    ae.add_requested_context(Verification)
    context = certificates.context(ssl.Purpose.SERVER_AUTH)
    association = ae.associate(secure.host, secure.port, ae_title="VNA", tls_args=(context, None))
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


@cell("Verification over TLS", "SCP", "Orthanc")
def test_orthanc_is_answered(secure, secure_orthanc):
    ask_orthanc(secure_orthanc, "/modalities/vna/echo")


@cell("Verification over TLS", "SCU", "DCMTK")
def test_storescp_answers_us(secure, certificates, tmp_path):
    peer = storescp(tmp_path, "STORESCP", *certificates.options())
    try:
        secure.know("storescp", "STORESCP", peer.port, UseDicomTls=True)
        secure.post("/modalities/storescp/echo")
        secure.know("plain", "STORESCP", peer.port)
        secure.post("/modalities/plain/echo", status=500)
    finally:
        peer.stop()


@cell("Verification over TLS", "SCU", "pynetdicom")
def test_pynetdicom_answers_us(secure, certificates):
    peer = Pynetdicom(secure.port, tls=certificates.context(ssl.Purpose.CLIENT_AUTH))
    try:
        secure.know("pynet", peer.title, peer.port, UseDicomTls=True)
        secure.post("/modalities/pynet/echo")
    finally:
        peer.stop()


@cell("Verification over TLS", "SCU", "Orthanc")
def test_orthanc_answers_us(secure, secure_orthanc):
    secure.post("/modalities/orthanc/echo")
