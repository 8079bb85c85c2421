"""The pages for people in a real browser: from the set-up to the recovered account."""

import base64
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from chromium import Chromium
from mail import MailSink

SOON_SECONDS = 60
PHONE_WIDTH = 360
OWNER, OWNER_PASSWORD = "owner@example.com", "a quiet river in November"
GUEST, GUEST_PASSWORD, GUEST_LATER = "guest@example.org", "seven lamps and a door", "another door, eight lamps"


def totp(secret, step):
    """RFC 6238 with SHA-1, 30 seconds and 6 digits."""
    key = base64.b32decode(secret)
    digest = hmac.digest(key, struct.pack(">Q", step), hashlib.sha1)
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start:start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Pages(unittest.TestCase):
    """One installation and one browser for all steps, which follow one another."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="keywright-pages-")
        cls.addClassCleanup(directory.cleanup)
        cls.sink = MailSink()
        cls.log = Path(directory.name) / "log"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KEYWRIGHT_")},
            "KEYWRIGHT_LISTEN": "127.0.0.1:0",
            "KEYWRIGHT_ADMIN_LISTEN": "off",
            "KEYWRIGHT_DATA_DIR": f"{directory.name}/data",
            "KEYWRIGHT_MAIL_URL": f"smtp://127.0.0.1:{cls.sink.port}",
            "KEYWRIGHT_MAIL_FROM": "Keywright <keys@example.com>",
        }
        with cls.log.open("w") as log:
            server = subprocess.Popen([os.environ["KEYWRIGHT"], "serve"], env=environment, stderr=log)
        cls.addClassCleanup(cls.end, server)
        cls.link = cls.wait_for_link()
        cls.url = cls.link.rsplit("/", 1)[0]
        cls.chromium = Chromium()
        cls.addClassCleanup(cls.chromium.close)
        cls.owner = cls.chromium.page(cls.url)
        cls.guest = cls.chromium.page(cls.url, PHONE_WIDTH, dark=True)

    @staticmethod
    def end(process):
        process.terminate()
        process.wait(SOON_SECONDS)

    @classmethod
    def wait_for_link(cls):
        deadline = time.monotonic() + SOON_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(r"http://\S+/setup#\w+", cls.log.read_text()):
                return found[0]
            time.sleep(0.05)
        raise AssertionError(cls.log.read_text())

    def operate(self, method, path, body):
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), method=method)
        request.add_header("Authorization", f"Bearer {self.credential}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=SOON_SECONDS) as answer:
            return json.load(answer)

    def sign_in(self, page, email, password):
        page.open("/sign-in")
        page.fill("E-mail address", email)
        page.fill("Password", password)
        page.enter()

    def code(self, page):
        """A code that was not used: each counts once, and the next one is good already."""
        type(self).step = max(getattr(self, "step", 0) + 1, int(time.time()) // 30)
        page.fill("Code", totp(self.secret, self.step))
        page.enter()

    def test_1_set_up(self):
        page = self.owner
        page.open("/setup")
        page.see("Open the link that the server printed")
        page.open(self.link)
        self.assertEqual(page.run("location.hash"), "", "the token does not stay in the address")
        page.fill("First workspace", "acme")
        page.fill("The owner's e-mail address", OWNER)
        page.fill("The owner's name", "Olga")
        page.fill("The owner's password", OWNER_PASSWORD)
        page.enter()
        page.see("It is shown once")
        type(self).credential = page.run("document.getElementById('credential').textContent")
        self.assertRegex(self.credential, r"^ok_\w+$")

    def test_2_sign_in(self):
        page = self.owner
        self.sign_in(page, OWNER, "not the password")
        page.wait("document.querySelector('[role=alert]').textContent !== ''", "a refusal")
        self.assertEqual(page.run("document.activeElement.id"), "password")
        page.fill("Password", OWNER_PASSWORD)
        page.press("Sign in")
        page.see(f"Olga ({OWNER})")
        page.see("owner")
        self.assertNotIn("kss_", page.run("document.cookie"), "no script reads the session")

    def test_3_second_factor(self):
        page = self.owner
        page.press("Set up an authenticator")
        page.wait("document.getElementById('totp-key').textContent !== ''", "the key")
        type(self).secret = page.run("document.getElementById('totp-key').textContent")
        self.assertTrue(page.run("document.getElementById('otpauth').href").startswith("otpauth://totp/"))
        type(self).step = int(time.time()) // 30
        page.fill("Code of the authenticator", totp(self.secret, self.step))
        page.enter()
        page.see("The second factor is on.")
        codes = page.run("[...document.querySelectorAll('#recovery-codes li')].map(e => e.textContent)")
        self.assertEqual(len(codes), 10)
        page.press("Sign out")
        page.see("You are signed out")
        self.sign_in(page, OWNER, OWNER_PASSWORD)
        page.see("Second factor")
        self.code(page)
        page.see(f"Olga ({OWNER})")
        page.press("Sign out")
        page.see("You are signed out")
        self.sign_in(page, OWNER, OWNER_PASSWORD)
        page.see("Second factor")
        page.fill("Code", codes[0])
        page.enter()
        page.see(f"Olga ({OWNER})")

    def test_4_invitation(self):
        before = len(self.sink.letters)
        self.operate("POST", "/v1/workspaces/acme/invitations", {"invitations": [{"email": GUEST, "role": "member"}]})
        text, link = self.sink.letter_to(GUEST, before)
        self.assertIn("acme", text)
        page = self.guest
        page.open("/invite")
        page.see("Open the link of your invitation")
        page.open(link)
        page.see(f"{GUEST} is invited to acme as member.")
        self.assertTrue(page.is_within_width())
        page.fill("Your name", "Gus")
        page.fill("Choose a password", "password1234")
        page.press("Accept the invitation")
        page.see("This password is not accepted")
        page.fill("Choose a password", GUEST_PASSWORD)
        page.press("Accept the invitation")
        page.see(f"Gus ({GUEST})")
        self.assertTrue(page.is_within_width())
        page.open(link)
        page.wait("document.querySelector('[role=alert]').textContent !== ''", "the link works once")

    def test_5_recovery(self):
        page = self.guest
        page.open("/account")
        page.press("Sign out")
        page.see("You are signed out")
        before = len(self.sink.letters)
        page.open("/sign-in")
        page.press("Password lost?")
        page.arrive("/recover")
        page.fill("E-mail address", GUEST)
        page.enter()
        page.see("Look into your mail")
        _, link = self.sink.letter_to(GUEST, before)
        page.open(link)
        page.fill("New password", GUEST_LATER)
        page.enter()
        page.see("The password is set")
        self.sign_in(page, GUEST, GUEST_PASSWORD)
        page.wait("document.querySelector('[role=alert]').textContent !== ''", "the old password is refused")
        page.fill("Password", GUEST_LATER)
        page.enter()
        page.see(f"Gus ({GUEST})")

    def test_6_sessions(self):
        other = self.chromium.page(self.url, PHONE_WIDTH)
        self.sign_in(other, GUEST, GUEST_LATER)
        other.see(f"Gus ({GUEST})")
        page = self.guest
        page.open("/account")
        page.press("Sign out everywhere else")
        page.see("Signed out everywhere else.")
        other.open("/account")
        other.arrive("/sign-in")
        page.fill("Current password", GUEST_LATER)
        page.fill("New password", GUEST_PASSWORD)
        page.enter()
        page.see("The password is changed.")
        page.press("Sign out")
        page.see("You are signed out")
        page.open("/account")
        page.arrive("/sign-in")

    def test_7_what_a_provider_reports(self):
        page = self.guest
        page.open("/sign-in?problem=identity_not_admitted")
        page.see("ask an Owner to invite you. (identity_not_admitted)")

    def test_8_no_complaints_and_nobody_else_is_asked(self):
        pages = list(self.chromium.pages.values())
        self.assertEqual([complaint for page in pages for complaint in page.complaints], [])
        self.assertEqual([url for page in pages for url in page.elsewhere], [])
        log = self.log.read_text()
        for secret in [OWNER, GUEST, OWNER_PASSWORD, self.secret, "kss_", "kwi_", "kwr_"]:
            self.assertNotIn(secret, log)


if __name__ == "__main__":
    unittest.main(verbosity=2, failfast=True)
