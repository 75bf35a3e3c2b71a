"""Holds a real daemon against its own description with schemathesis: no failure inside, no undocumented status, no
answer of another shape, nothing accepted that does not fit. Use: python tests/fuzz/fuzz.py PATH-OF-AUTHSOME

Nothing leaves this machine: the daemon's calls to the world go to a proxy that is not there.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
CHECKS = ",".join([
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
])
# What takes away that which other requests are about comes last.
ENDINGS = "/(revoke|delete|logout|forget|sign-out-others)$"
NOWHERE = "http://127.0.0.1:9"


class Scene:
    """A home with a daemon, an administrator, agents, providers and connections."""

    def __init__(self, scratch):
        self.home = scratch / "home"
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self.environment = {**kept, "HOME": str(scratch), "AUTHSOME_HOME": str(self.home)}
        self.log = scratch / "log"
        with self.log.open("wb") as log:
            proxies = {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE}
            command = [PROGRAM, "daemon", "serve", "--port", "0"]
            self.daemon = subprocess.Popen(command, stdout=log, stderr=log, env={**self.environment, **proxies})
        self.url = self.wait_for_url()

    def wait_for_url(self):
        status = self.home / "server/daemon/daemon.json"
        while not status.exists():
            if self.daemon.poll() is not None:
                sys.exit(f"fuzz: the daemon did not start: {self.log.read_text()}")
            time.sleep(0.05)
        return json.loads(status.read_text())["base_url"]

    def authsome(self, *arguments, stdin=""):
        done = subprocess.run(
            [PROGRAM, *arguments], env=self.environment, input=stdin, capture_output=True, text=True, check=False,
        )
        if done.returncode:
            sys.exit(f"fuzz: {arguments}: {done.stderr}")
        return done.stdout

    def api(self, method, path, body):
        return json.loads(self.authsome("api", method, path, "--data", json.dumps(body)))

    def populate(self):
        self.authsome("onboard", "--yes")
        self.handle = next(self.home.glob("client/identities/*.key")).stem
        for handle in ("spare-one", "spare-two", "spare-three", "spare-four"):
            self.authsome("agent", "create", "--handle", handle)
        self.authsome("agent", "use", self.handle)
        for name in ("alpha", "beta", "gamma", "acme"):
            definition = {"name": name, "auth_type": "api_key", "flow": "api_key", "api_url": f"api.{name}.test"}
            self.api("POST", "/api/providers", {"definition": definition})
        for name in ("alpha", "beta", "gamma", "acme", "openai"):
            for connection in ("default", "second"):
                self.authsome("login", name, "--connection", connection, "--key-stdin", stdin="sk-0123456789abcdef")
        client = {"client_id": "client", "client_secret": "secret"}
        self.api("PUT", "/api/providers/github/configuration", client)
        self.logins = []
        for provider in ("github", "alpha", "linear") * 3:
            asked = {"provider": provider, "connection": "third", "flow": "pkce" if provider == "github" else None}
            self.logins.append(self.api("POST", "/api/auth/sessions", asked)["id"])

    def caller(self):
        """What a request is signed with."""
        identity = self.home / "client/identities" / self.handle
        did = json.loads(identity.with_suffix(".json").read_text())["did"]
        return {"FUZZ_HANDLE": self.handle, "FUZZ_DID": did, "FUZZ_KEY": identity.with_suffix(".key").read_text().strip()}

    def fuzz(self, name, environment, *options):
        print(f"\n== {name}", flush=True)
        command = [pathlib.Path(sys.executable).with_name("st"), "--config-file", HERE / "schemathesis.toml", "--no-color"]
        command += ["run", self.url + "/openapi.json", "--checks", CHECKS, *options]
        ours = {"FUZZ_URL": self.url, "FUZZ_LOGINS": " ".join(self.logins), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env={**self.environment, **ours, **environment}, cwd=self.home, check=False)
        return done.returncode == 0

    def end(self):
        self.daemon.terminate()
        return self.daemon.wait()


def fuzz(scene):
    """Whether three rounds find nothing."""
    scene.populate()
    caller = scene.caller()
    rounds = [
        ("an administrator", caller, "-n", "5", "--exclude-method", "DELETE", "--exclude-path-regex", ENDINGS),
        ("endings", caller, "-n", "15", "--include-method", "DELETE", "--include-path-regex", ENDINGS),
        ("a stranger", {}, "--phases", "coverage"),
    ]
    return all([scene.fuzz(*one) for one in rounds])  # a list: each of them, whatever the others find


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scene = Scene(pathlib.Path(scratch))
        try:
            is_good = fuzz(scene)
        finally:
            status = scene.daemon.poll()
            ended = scene.end()
            print(scene.log.read_text(), end="")
        if status is not None or ended:
            sys.exit(f"fuzz: the daemon ended with {status or ended}")
    sys.exit(not is_good)


main()
