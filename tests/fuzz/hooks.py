"""What the fuzzer must know of us: how requests are signed, and what would end its own run."""

import base64
import hashlib
import json
import os
import time
import uuid

import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

URL = os.environ["FUZZ_URL"]
HANDLE = os.environ.get("FUZZ_HANDLE")
LOGINS = {f"login-{number}": login for number, login in enumerate(os.environ["FUZZ_LOGINS"].split())}


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Caller(requests.auth.AuthBase):
    """An administrator's identity and browser: a proof for this very request (contract/identity.md), and a cookie."""

    def __init__(self):
        self.key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(os.environ["FUZZ_KEY"]))
        self.cookie = None

    def __call__(self, request):
        self.sign(request)
        # Signing out, and a password that ends all sessions, are tried by a browser that is not signed in.
        if request.path_url.split("?")[0] not in ("/api/logout", "/api/auth/password"):
            request.headers["Cookie"] = self.cookie or self.sign_in()
        return request

    def sign(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        now = int(time.time())
        claims = {
            "iss": os.environ["FUZZ_DID"], "sub": HANDLE, "aud": "authsome-daemon", "iat": now, "exp": now + 60,
            "jti": str(uuid.uuid4()), "htm": request.method, "htu": request.path_url,
            "body_sha256": hashlib.sha256(body).hexdigest(),
        }
        parts = [{"typ": "JWT", "alg": "EdDSA"}, claims]
        token = b".".join(encoded(json.dumps(part).encode()) for part in parts)
        request.headers["Authorization"] = "PoP " + (token + b"." + encoded(self.key.sign(token))).decode()
        return request

    def sign_in(self):
        link = requests.post(URL + "/api/session", auth=self.sign, timeout=30).json()["url"]
        # As a browser whose person typed it; who does not say so is asked first.
        typed = {"Sec-Fetch-Site": "none"}
        opened = requests.get(link, headers=typed, allow_redirects=False, timeout=30)
        self.cookie = "authsome_ui_session=" + opened.cookies["authsome_ui_session"]
        return self.cookie


if HANDLE:
    schemathesis.auth.set_from_requests(Caller())


@schemathesis.hook
def map_path_parameters(context, parameters):
    """The identity that signs is neither forgotten nor disarmed: whatever follows would be refused."""
    if context.operation.method != "get" and parameters and parameters.get("handle") == HANDLE:
        parameters["handle"] = "spare-one"
    return with_login(parameters, "id")


@schemathesis.hook
def map_query(context, query):
    return with_login(query, "session")


def with_login(values, name):
    """The words login-0, login-1, .. of the dictionary stand for logins of the scene."""
    word = values.get(name) if values else None
    if isinstance(word, str):
        values[name] = LOGINS.get(word, word)
    return values
