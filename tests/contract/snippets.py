"""The documents' own snippets, run as their pages print them; only placeholders of keys are replaced. Their host names lead
to a real server: see redirect.py."""

import http.server
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from installation import Installation
from mail import MailSink
from redirect import Redirect

SNIPPETS = Path(__file__).parent / "snippets"
PLACEHOLDER = "your_api_key_here"


def setUpModule():
    global here, redirect, directory
    here = Installation()
    here.__enter__()
    here.make("/v1/workspaces", {"slug": "workspace"})
    directory = tempfile.TemporaryDirectory(prefix="keywright-snippets-")
    lead()


def lead():
    global redirect
    redirect = Redirect(directory.name, here.url.removeprefix("http://"))
    redirect.__enter__()


def tearDownModule():
    redirect.__exit__()
    here.__exit__()
    directory.cleanup()


def text(name):
    return (SNIPPETS / name).read_text()


def run(command, folder=None, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "BAYT_API_KEY"}
    environment |= redirect.environment | variables
    return subprocess.run(command, env=environment, cwd=folder or directory.name, capture_output=True, text=True, timeout=60)


def run_python(source, folder=None, **variables):
    return run([sys.executable, "-c", source], folder, **variables)


LIST = "\nprint(len(client.list_prompts()['prompts']), client.base_url)"


class Clients(unittest.TestCase):
    def setUp(self):
        self.key_id, self.key = here.key()
        self.folder = tempfile.mkdtemp(dir=directory.name)

    def expect(self, done, *words):
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in words:
            self.assertIn(word, done.stdout)

    def test_01_a_key_in_the_environment(self):
        self.expect(run_python(text("01_environment.py") + LIST, BAYT_API_KEY=self.key), "https://api.baytos.ai")

    def test_02_and_07_and_08_a_dotenv_file(self):
        for name in ("02_dotenv.py", "07_dotenv.py"):
            Path(self.folder, ".env").write_text(f"BAYT_API_KEY={self.key}\n")
            Path(self.folder, "program.py").write_text(text(name) + LIST)
            self.expect(run([sys.executable, "program.py"], self.folder), "https://api.baytos.ai")
        done = run(["bash", "-c", text("08_gitignore.sh")], self.folder)
        self.assertEqual((done.returncode, Path(self.folder, ".gitignore").read_text()), (0, ".env\n"))

    def test_03_the_placeholder_never_leaves_the_machine(self):
        done = run_python(text("03_direct.py"))
        self.assertIn("ValueError", done.stderr)

    def test_04_curl(self):
        status = ' -s -w "\\n%{http_code}"'
        done = run(["bash", "-c", text("04_list.sh").rstrip() + status])
        body, code = done.stdout.rsplit("\n", 1)
        self.assertEqual((code, json.loads(body)["error"].split(":")[0]), ("401", "Invalid API key"), done.stderr)
        done = run(["bash", "-c", text("04_list.sh").rstrip().replace(PLACEHOLDER, self.key) + status])
        body, code = done.stdout.rsplit("\n", 1)
        self.assertEqual((code, json.loads(body)["hasMore"]), ("200", False), done.stderr)

    def test_05_the_beginning_of_a_key(self):
        done = run_python(text("05_debug.py") + LIST, BAYT_API_KEY=self.key)
        self.expect(done, f"API key starts with: {self.key[:10]}...")
        self.assertTrue(self.key.startswith("sk_live_"))
        done = run_python(text("05_debug.py"))
        self.assertIn("API key not set", done.stdout)
        self.assertIn("ValueError", done.stderr)

    def test_06_the_texts_of_errors(self):
        program = "import os\nfrom baytos.claro import *\nclient = BaytClient(api_key=os.getenv('BAYT_API_KEY'))" + LIST
        here.make(f"/v1/workspaces/workspace/keys/{self.key_id}/revoke")
        self.assertIn("BaytAuthError: Invalid API key", run_python(program, BAYT_API_KEY=self.key).stderr)
        _, lacking = here.key(permissions=["prompts:read"])
        self.assertIn("Insufficient permissions", run_python(program, BAYT_API_KEY=lacking).stderr)
        # K9: the documents name a class that the shipped SDK does not have.
        self.assertIn("ImportError", run_python("from baytos.claro import BaytPermissionError").stderr)

    def test_20_user_input_in_a_prompt(self):
        prompts = "/v1/workspaces/workspace/prompts"
        here.make(prompts, {"slug": "qa-bot", "generator": "You answer questions about a shop."})
        here.make(f"{prompts}/qa-bot/publish")
        program = "import os\n" + text("20_injection.py") + "\nprint(full_prompt)"
        self.expect(
            run_python(program, BAYT_API_KEY=self.key),
            "You answer questions about a shop.\n\nUser question: What are your hours?",
        )


class Usage(unittest.TestCase):
    def alerts(self, key):
        program = text("17_usage.py") + "\ndef send_alert(message):\n    print(message)\n\ncheck_api_usage()"
        done = run_python(program, BAYT_API_KEY=key)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_17_usage_and_its_alerts(self):
        key_id, key = here.key()
        self.assertEqual(self.alerts(key), [], "a new key alarms nobody")
        # 50 calls, a tenth of them refused; 7 days with 20 a day went before.
        for number in range(50):
            permissions = ["prompts:write"] if number % 10 == 0 else ["prompts:read"]
            here.make("/v1/keys/verify", {"key": key, "permissions": permissions})
        redirect.__exit__()
        here.stop()
        here.write_history(key_id, {days_ago: 20 for days_ago in range(1, 8)})
        here.start()
        lead()
        deadline = time.monotonic() + 20
        while len(alerts := self.alerts(key)) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertRegex(alerts[0], r"^Unusual API usage: \d+ requests \(avg: 20\.0\)$")
        self.assertRegex(alerts[1], r"^High error rate: \d+\.\d+%$")


class JsonSink(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it, by path."""

    def __init__(self):
        sink = self
        self.posted = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                sink.posted[self.path] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Channels(unittest.TestCase):
    """`send_alert` of docs/guides/usage-alerts.md, as it is printed."""

    def test_each_channel_that_is_named_is_told(self):
        guide = (Path(__file__).parents[2] / "docs/guides/usage-alerts.md").read_text()
        names = {}
        exec(re.search(r"```python\n(.*?)```", guide, re.S)[1], names)
        alert = "High error rate: 12.5%"
        names["send_alert"](alert)
        hooks, mail = JsonSink(), MailSink()
        base = f"http://127.0.0.1:{hooks.server_address[1]}"
        os.environ |= {
            "ALERT_EMAIL": "oncall@example.com", "ALERT_SMTP_HOST": "127.0.0.1", "ALERT_SMTP_PORT": str(mail.port),
            "SLACK_WEBHOOK_URL": f"{base}/slack", "PAGERDUTY_ROUTING_KEY": "routing", "PAGERDUTY_URL": f"{base}/pagerduty",
            "ALERT_WEBHOOK_URL": f"{base}/other",
        }
        self.assertEqual((hooks.posted, mail.letters), ({}, []), "nobody was named")
        names["send_alert"](alert)
        (to, letter), = mail.letters
        self.assertEqual((to, letter.get_content().strip()), ("oncall@example.com", alert))
        self.assertEqual(hooks.posted["/slack"], {"text": alert})
        event = hooks.posted["/pagerduty"]
        self.assertEqual((event["routing_key"], event["event_action"], event["payload"]["summary"]), ("routing", "trigger", alert))
        self.assertEqual(hooks.posted["/other"], {"message": alert})
        for server in (hooks, mail):
            server.shutdown()
            server.server_close()


class Local(unittest.TestCase):
    def test_18_environments(self):
        names = {"os": os}
        os.environ |= {"ENVIRONMENT": "staging", "BAYT_API_KEY_STAGING": "of-staging"}
        exec(text("18_environments.py"), names)
        self.assertEqual(names["config"]["BAYT_API_KEY"], "of-staging")
        self.assertEqual(set(names["ENVIRONMENTS"]), {"development", "staging", "production"})

    def test_19_configuration(self):
        names = {}
        exec(text("19_load_config.py"), names)
        _, key = here.key()
        os.environ["BAYT_API_KEY"] = key
        file = Path(directory.name, "config.yaml")
        file.write_text("key: ${BAYT_API_KEY}\napi:\n  key: ${BAYT_API_KEY}\n")
        config = names["load_config"](file)
        del os.environ["BAYT_API_KEY"]
        self.assertEqual(here.call("GET", "/v1/prompts", key=config["key"]).status, 200)
        # S10: as published, it leaves what is nested.
        self.assertEqual(config["api"]["key"], "${BAYT_API_KEY}")

    def test_21_and_22_redaction(self):
        names = {}
        exec(text("21_redact.py"), names)
        redact = names["redact_sensitive_data"]
        _, key = here.key()
        for line in [
            "Mail ana@example.com today", "Call 555-123-4567 or 555.123.4568", "Paid with 4111 1111 1111 1111",
            "ana@example.com, 555-123-4567, 4111-1111-1111-1111", "Nothing here",
        ]:
            ours = here.call("POST", "/v1/redact", {"text": line}, key=key).json()
            self.assertEqual(ours["text"], redact(line), line)
        # S12: what the published patterns miss or swallow.
        for line, expected in [
            ("Call (555) 123-4567", "Call [PHONE_REDACTED]"), ("at 1715941800", "at 1715941800"),
            ("Paid with 3782 822463 10005", "Paid with [CARD_REDACTED]"), (f"key {key}", "key [API_KEY_REDACTED]"),
        ]:
            self.assertNotEqual(redact(line), expected)
            self.assertEqual(here.call("POST", "/v1/redact", {"text": line}, key=key).json()["text"], expected)
        with self.assertLogs("snippet") as logged:
            exec(text("22_log.py"), names | {"logger": logging.getLogger("snippet"), "user_query": "I am ana@example.com"})
        self.assertEqual(logged.records[0].getMessage(), "User query: I am [EMAIL_REDACTED]")

    def test_25_an_endpoint_behind_a_key(self):
        import flask

        app = flask.Flask("ask")
        app.testing = True

        def verify_token(header):
            return here.call("GET", "/v1/check", key="", headers={"Authorization": header}).status == 204

        exec(text("25_require_auth.py"), {"app": app, "verify_token": verify_token})
        key_id, key = here.key()
        ask = lambda headers: app.test_client().get("/api/ask", headers=headers)
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": key}):
            answer = ask(headers)
            self.assertEqual((answer.status_code, answer.json), (401, {"error": "Unauthorized"}))
        # The published view answers nothing, which Flask takes for a mistake: it was reached.
        with self.assertRaisesRegex(TypeError, "did not return a valid response"):
            ask({"Authorization": f"Bearer {key}"})
        here.make(f"/v1/workspaces/workspace/keys/{key_id}/revoke")
        self.assertEqual(ask({"Authorization": f"Bearer {key}"}).status_code, 401)

    def test_27_privacy_hooks(self):
        names = {}
        exec(text("27_privacy.py"), names)
        for hook in ("handle_gdpr_deletion", "export_user_data", "handle_ccpa_optout"):
            self.assertIsNone(names[hook]("user_123"), "a stub, as published")


if __name__ == "__main__":
    unittest.main()
