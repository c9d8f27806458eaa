"""TLS of the connection to Milvus: the files that an address names, and what is wrong where it fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.errors import UserError

if TYPE_CHECKING:
    from crossbit.index.milvus.calls import Address

FILES = ("ca", "cert", "key")
OPTIONS = ("tls", *FILES, "server_name")
REFUSED = re.compile(r'certificate_verify_failed: ([^:"]+)')  # gRPC's words for why, in small letters
UNKNOWN = ("issuer", "self signed", "self-signed")  # of these: nobody who is trusted signed it


def check_options(given: Mapping[str, str]) -> None:
    """UserError where the options of an address do not fit together.

    >>> check_options({"tls": "true", "ca": "ca.pem"})
    """
    if given.get("tls", "false") not in ("true", "false"):
        raise UserError(f"tls={given['tls']} in the address; it is true or false")
    if given.get("tls") != "true" and (further := [name for name in OPTIONS[1:] if name in given]):
        raise UserError(f"{further[0]}= in the address needs tls=true beside it")
    if ("cert" in given) != ("key" in given):
        raise UserError("cert= and key= in the address belong together: a certificate and its key")
    if "cert" in given and "ca" not in given:  # pymilvus would send no certificate
        raise UserError(
            "cert= in the address needs ca= beside it, the certificate that the server's is checked against"
        )


def arguments(address: Address) -> dict[str, Any]:
    """What pymilvus takes for the TLS of an address.

    Raises:
        UserError: a file is not there, or not what it should be.
    """
    given = address.options
    if not address.secure:
        return {}
    _check_files(given)
    named = {
        "ca_pem_path" if "cert" in given else "server_pem_path": "ca",  # where pymilvus looks for it
        "client_pem_path": "cert",
        "client_key_path": "key",
        "server_name": "server_name",
    }
    return {"secure": True, **{name: given[option] for name, option in named.items() if given.get(option)}}


def mistake(address: Address, said: str) -> str:
    """What is wrong with TLS, from what gRPC said in small letters; empty where it is something else."""
    given, server = address.options, address.server
    if not address.secure:
        return ""
    if "hostname verification" in said:
        name = given.get("server_name") or address.host
        return (
            f"the certificate of Milvus at {server} is not for {name}; take a name that it holds, as the host or as "
            "`server_name=`"
        )
    if "wrong_version_number" in said:
        return f"what answers at {server} speaks no TLS; leave tls=true out of the address, or mend the port"
    if "missing selected alpn" in said:
        return f"what answers at {server} speaks TLS without HTTP/2; a proxy before Milvus has to offer it (ALPN h2)"
    if not (found := REFUSED.search(said)):
        return ""
    if any(word in found[1] for word in UNKNOWN):
        known = f"{given['ca']} did not sign it" if "ca" in given else "no public authority signed it"
        return (
            f"the certificate of Milvus at {server} is not trusted: {known}; `ca=FILE` in the address names the "
            "certificate that did"
        )
    return f"the certificate of Milvus at {server} is not trusted: {found[1]}; the server needs another one"


def hint(address: Address, said: str) -> str:
    """What may be wrong where the connection ends, and the server does not say why."""
    if "connection refused" in said:
        return ""
    if not address.secure:
        return "; one that wants TLS needs `?tls=true`"
    if "cert" not in address.options:
        return "; one that asks for a client's certificate needs `cert=` and `key=`"
    return f"; or it does not take the certificate {address.options['cert']}"


def _check_files(given: Mapping[str, str]) -> None:
    """gRPC takes an empty `ca` for none, and trusts public authorities then; of others it says but that they fail."""
    import ssl

    for name in FILES:
        if name in given:
            try:
                Path(given[name]).open("rb").close()
            except OSError as error:
                raise UserError(f"{name}={given[name]} in the address cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")  # whether a key is long enough is not asked here
    try:
        if "ca" in given:
            context.load_verify_locations(given["ca"])
    except ssl.SSLError as error:
        raise UserError(
            f"ca={given['ca']} in the address holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        ) from error
    try:
        if "cert" in given:
            context.load_cert_chain(given["cert"], given["key"], password="")  # else it would ask at the terminal
    except ssl.SSLError as error:
        raise UserError(
            f"cert={given['cert']} and key={given['key']} in the address are no certificate and its key; both are in "
            "PEM, and the key has no password"
        ) from error
