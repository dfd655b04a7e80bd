"""An authority and its certificates, made by openssl(1) as a test runs."""

import ssl
import subprocess


class Certificate:
    """cert and key are files in PEM form."""

    def __init__(self, directory, name, *arguments):
        self.cert = directory / f"{name}.pem"
        self.key = directory / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
             "-out", self.cert, "-keyout", self.key, *arguments],
            check=True, capture_output=True)

    def names(self):
        """As penstock's configuration has them."""
        return {"cert": str(self.cert), "key": str(self.key)}

    def expire(self):
        """Becomes one that was good until yesterday, and that nobody else has
        signed."""
        subprocess.run(["openssl", "x509", "-in", self.cert, "-signkey",
                        self.key, "-days", "-1", "-out", self.cert],
                       check=True, capture_output=True)
        return self


class Authority(Certificate):
    def __init__(self, directory, name="authority"):
        super().__init__(directory, name)
        self.directory = directory

    def certificate(self, *hosts, name="server"):
        """For these hosts, DNS names or addresses."""
        names = ",".join(("IP:" if h[-1].isdigit() or ":" in h else "DNS:") + h
                         for h in hosts)
        return Certificate(self.directory, name, "-CA", self.cert, "-CAkey",
                           self.key, "-addext", "basicConstraints=CA:FALSE",
                           *(["-addext", f"subjectAltName={names}"]
                             if names else []))


def server_context(certificate, clients=None, version=None):
    """For a Backend; clients: the authority that clients' certificates have to
    be of."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.cert)
    if version:
        context.maximum_version = context.minimum_version = version
    return context


def client_context(certificate, protocols=("http/1.1",)):
    """For clients that trust it alone."""
    context = ssl.create_default_context(cafile=certificate.cert)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def own_certificate(directory, *hosts, name="own"):
    """One that nobody else vouches for."""
    names = ",".join(("IP:" if h[-1].isdigit() else "DNS:") + h for h in hosts)
    return Certificate(directory, name, "-addext", f"subjectAltName={names}")
