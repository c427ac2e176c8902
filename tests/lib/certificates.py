# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, by openssl(1).

    ca = Authority(work / "ca")
    cert, key = ca.issue("alice", usage="clientAuth")
"""

from case import run

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


class Authority:
    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self.cert = folder / "ca.pem"
        self.key = folder / "ca.key"
        self.crl = folder / "ca.crl"
        run("openssl", "req", "-x509", *KEY, "-subj", f"/CN={folder.name}", "-days", "10",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out",
            self.cert, quiet=True)
        (folder / "index").touch()
        (folder / "crlnumber").write_text("01\n")
        (folder / "config").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\ncertificate={self.cert}\n"
            f"private_key={self.key}\ndefault_md=sha256\ndefault_crl_days=5\n"
            f"crlnumber={folder}/crlnumber\nunique_subject=no\n")
        self._ca("-gencrl", "-out", self.crl)

    def _ca(self, *argv):
        run("openssl", "ca", "-config", self.folder / "config", *argv, quiet=True)

    def issue(self, name, usage="clientAuth", alt=None, days=5, subject=None):
        """(certificate, key); days may be negative: it has expired."""
        cert, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"extendedKeyUsage={usage}\n" +
                              (f"subjectAltName={alt}\n" if alt else ""))
        run("openssl", "req", *KEY, "-subj", subject or f"/CN={name}", "-keyout", key, "-out",
            request, quiet=True)
        run("openssl", "x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key,
            "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", cert, quiet=True)
        return cert, key

    def revoke(self, cert):
        self._ca("-revoke", cert)
        self._ca("-gencrl", "-out", self.crl)
