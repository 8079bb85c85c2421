"""Signs people in by a real OpenID Connect provider, and makes the provider misbehave."""

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

SOON_SECONDS = 60
# `OIDC_KEYS_PAUSE_SECONDS` of the server.
KEYS_PAUSE_SECONDS = 5
SECRET = "a secret: with / odd % signs"


def free_port():
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    """Keeps cookies, and follows redirects only when told."""

    def __init__(self):
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(NoRedirects, urllib.request.HTTPCookieProcessor(self.jar))

    def open(self, url, data=None, method=None, headers=None):
        """Status, headers and text of the answer."""
        request = urllib.request.Request(url, data=data, method=method, headers={"Accept": "text/html", **(headers or {})})
        try:
            answer = self.opener.open(request, timeout=SOON_SECONDS)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers, answer.read().decode()

    def json(self, url, method="GET", body=None, headers=None):
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        status, _, text = self.open(url, data, method, sent)
        return status, json.loads(text) if text else None


class Provider:
    """The provider's process."""

    def __init__(self, redirect_uri):
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rsplit(":", 1)[1]
        command = [os.environ["NODE"], os.environ["PROVIDER"], port, redirect_uri]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert any(line.strip() == "ready" for line in self.process.stdout), "the provider does not start"

    def tell(self, what, method="POST", body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/test/{what}", data=data, method=method)
        urllib.request.urlopen(request, timeout=SOON_SECONDS).close()

    def person(self, name, groups, verified=True):
        claims = {"email": f"{name}@example.com", "email_verified": verified, "name": name.title(), "groups": groups}
        self.tell(f"people/{name}", "PUT", claims)


class SignIn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="keywright-sign-in-")
        cls.addClassCleanup(cls.directory.cleanup)
        directory = Path(cls.directory.name)
        cls.url = f"http://127.0.0.1:{free_port()}"
        cls.provider = Provider(f"{cls.url}/v1/sign-in/oidc/corp/callback")
        cls.addClassCleanup(cls.end, cls.provider.process)
        data = directory / "data"
        made = subprocess.run(
            [os.environ["KEYWRIGHT"], "init", "--data", data], check=True, capture_output=True, text=True
        )
        cls.operator = re.search(r"\bok_\w+", made.stdout)[0]
        secret = directory / "client-secret"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        config = directory / "keywright.toml"
        config.write_text(f"""
listen = "{cls.url.removeprefix('http://')}"
admin_listen = "off"
data_dir = "data"
[limits]
unauthenticated_per_minute = 0
unauthenticated_per_hour = 0
[[sign_in]]
name = "corp"
title = "Corp"
issuer = "{cls.provider.url}"
client_id = "keywright"
client_secret_file = "client-secret"
scopes = ["email", "profile", "groups"]
email_domains = ["example.com"]
unknown_people = "create"
[[sign_in.groups]]
group = "engineering"
workspace = "acme"
role = "member"
[[sign_in.groups]]
group = "leads"
workspace = "acme"
role = "admin"
[[sign_in.groups]]
group = "engineering"
workspace = "beta"
role = "viewer"
""")
        cls.log = open(directory / "log", "w+")
        cls.addClassCleanup(cls.log.close)
        server = subprocess.Popen([os.environ["KEYWRIGHT"], "serve", "--config", config], stderr=cls.log)
        cls.addClassCleanup(cls.end, server)
        cls.wait_until_ready()
        for slug in ["acme", "beta"]:
            status, answer = cls.operate("POST", "/v1/workspaces", {"slug": slug})
            assert status == 201, answer

    @staticmethod
    def end(process):
        process.terminate()
        process.wait(SOON_SECONDS)

    @classmethod
    def wait_until_ready(cls):
        deadline = time.monotonic() + SOON_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if Browser().open(f"{cls.url}/readyz")[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError("the server does not become ready")

    @classmethod
    def operate(cls, method, path, body=None):
        headers = {"Authorization": f"Bearer {cls.operator}"}
        return Browser().json(f"{cls.url}{path}", method, body, headers)

    def setUp(self):
        self.provider.tell("tamper/nothing")

    def come_back(self, browser, name):
        """Goes to the provider, signs in there as `name`, agrees; the address that the provider sends the browser back to."""
        status, headers, _ = browser.open(f"{self.url}/v1/sign-in/oidc/corp")
        self.assertEqual(status, 303)
        url = headers["Location"]
        for _ in range(12):
            if url.startswith(f"{self.url}/v1/sign-in/oidc/corp/callback"):
                return url
            status, headers, text = browser.open(url)
            if status in (302, 303):
                url = urllib.parse.urljoin(url, headers["Location"])
                continue
            self.assertEqual(status, 200, text)
            action = re.search(r'<form[^>]* action="([^"]+)"', text)[1]
            prompt = re.search(r'name="prompt" value="([a-z]+)"', text)[1]
            form = urllib.parse.urlencode({"prompt": prompt, "login": name, "password": "any"}).encode()
            _, headers, _ = browser.open(action, form)
            url = urllib.parse.urljoin(url, headers["Location"])
        raise AssertionError(f"lost on the way: {url}")

    def sign_in(self, name, browser=None):
        """Where the browser ends up, and the browser."""
        browser = browser or Browser()
        status, headers, _ = browser.open(self.come_back(browser, name))
        self.assertEqual(status, 303)
        return headers["Location"], browser

    def roles(self, browser):
        status, account = browser.json(f"{self.url}/v1/account")
        self.assertEqual(status, 200, account)
        slugs = {}
        for slug in ["acme", "beta"]:
            _, workspace = self.operate("GET", f"/v1/workspaces/{slug}")
            slugs[workspace["id"]] = slug
        return {slugs[one["workspace"]]: one["role"] for one in account["memberships"]}

    def refused(self, name, problem):
        location, browser = self.sign_in(name)
        self.assertEqual(location, f"/sign-in?problem={problem}")
        self.assertEqual(browser.json(f"{self.url}/v1/account")[0], 401)

    def test_1_groups_give_and_take(self):
        self.provider.person("ada", ["engineering"])
        location, browser = self.sign_in("ada")
        self.assertEqual(location, "/account")
        self.assertEqual(self.roles(browser), {"acme": "member", "beta": "viewer"})
        _, account = browser.json(f"{self.url}/v1/account")
        self.assertEqual((account["email"], account["name"]), ("ada@example.com", "Ada"))
        self.provider.person("ada", ["leads"])
        location, later = self.sign_in("ada")
        self.assertEqual(self.roles(later), {"acme": "admin"})
        self.assertEqual(self.roles(browser), {"acme": "admin"}, "the older session, too")
        _, again = later.json(f"{self.url}/v1/account")
        self.assertEqual(account["id"], again["id"])
        self.provider.person("ada", [])
        _, last = self.sign_in("ada")
        self.assertEqual(self.roles(last), {})

    def test_2_new_keys_of_the_provider(self):
        time.sleep(KEYS_PAUSE_SECONDS)
        self.provider.tell("rotate")
        self.provider.person("bob", [])
        self.assertEqual(self.sign_in("bob")[0], "/account")

    def test_3_tokens_that_are_not_believed(self):
        self.provider.person("eve", ["leads"])
        for how in ["nonce", "expired", "audience", "issuer", "none", "known-name-other-key", "unknown-key"]:
            with self.subTest(how):
                self.provider.tell(f"tamper/{how}")
                self.refused("eve", "identity_not_trusted")
        self.provider.tell("tamper/nothing")
        self.assertEqual(self.sign_in("eve")[0], "/account")

    def test_4_an_answer_counts_once_and_in_one_browser(self):
        self.provider.person("kim", [])
        browser, other = Browser(), Browser()
        url = self.come_back(browser, "kim")
        problem = "/sign-in?problem=sign_in_not_begun"
        self.assertEqual(other.open(url)[1]["Location"], problem, "another browser")
        altered = url.replace("state=", "state=x")
        kept = [cookie for cookie in browser.jar if cookie.name.endswith("keywright_oidc")]
        self.assertEqual(browser.open(altered)[1]["Location"], problem, "another state")
        self.assertFalse([cookie for cookie in browser.jar if cookie.name.endswith("keywright_oidc")])
        browser.jar.set_cookie(kept[0])
        self.assertEqual(browser.open(url)[1]["Location"], "/account")
        browser.jar.set_cookie(kept[0])
        self.assertEqual(browser.open(url)[1]["Location"], problem, "a replay, cookie and all")

    def test_5_people_who_are_left_out(self):
        self.provider.person("mal", ["leads"], verified=False)
        self.refused("mal", "identity_not_admitted")
        self.provider.tell("people/zoe", "PUT", {"email": "zoe@elsewhere.example", "email_verified": True})
        self.refused("zoe", "identity_not_admitted")

    def test_6_programs_get_the_problem(self):
        status, problem = Browser().json(f"{self.url}/v1/sign-in/oidc/corp/callback?error=access_denied&state=x")
        self.assertEqual((status, problem["code"]), (400, "sign_in_not_begun"))
        self.assertEqual(Browser().json(f"{self.url}/v1/sign-in/oidc/nobody")[0], 404)
        _, listed = Browser().json(f"{self.url}/v1/sign-in/oidc")
        self.assertEqual([one["title"] for one in listed["data"]], ["Corp"])

    def test_7_nothing_secret_is_logged(self):
        self.log.flush()
        text = Path(self.log.name).read_text()
        for secret in [SECRET, "ada@example.com", "kss_", "?code=", "&code=", "?state=", "&state="]:
            self.assertFalse(secret in text, f"the log says {secret}")
        self.assertIn("/v1/sign-in/oidc/{provider}/callback", text, "and it does log")


if __name__ == "__main__":
    unittest.main(verbosity=2)
