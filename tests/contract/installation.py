"""A real `keywright dev` process, and a client of its management API."""

import json
import os
import sqlite3
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

BINARY = os.environ["CONTRACT_KEYWRIGHT"]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Installation:
    """Starts with a new data directory; `with` ends it."""

    def __init__(self, **variables):
        self.directory = tempfile.TemporaryDirectory(prefix="keywright-contract-")
        self.data = Path(self.directory.name) / "data"
        self.variables = variables

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.directory.cleanup()

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYWRIGHT_")}
        environment.update(self.variables)
        with open(Path(self.directory.name) / "log", "ab") as log:
            command = [BINARY, "dev", "--json", "--data", str(self.data), "--listen", "127.0.0.1:0"]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError((Path(self.directory.name) / "log").read_text())
        self.ready = json.loads(line)
        self.url = self.ready["url"]
        self.operator = self.ready["operator_key"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()

    def call(self, method, path, body=None, key=None, headers=None):
        """One request; the operator's unless another key is given ("" for none)."""
        headers = dict(headers or {})
        key = self.operator if key is None else key
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if body is not None and not isinstance(body, bytes):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def make(self, path, body=None, method="POST", headers=None):
        """A request of the operator's that has to succeed."""
        answer = self.call(method, path, body if body is not None else {}, headers=headers)
        assert answer.status in (200, 201), (path, answer.status, answer.body)
        return answer.json()

    def key(self, workspace="workspace", **fields):
        """A new key: its id and its secret."""
        body = {"name": "contract", "environment": "production", **fields}
        made = self.make(f"/v1/workspaces/{workspace}/keys", body)
        return made["key"]["id"], made["secret"]

    def write_history(self, key_id, days):
        """Counts of earlier days, and a creation long ago, written while the server is down: `days` is {days ago:
        requests}."""
        database = sqlite3.connect(self.data / "keywright.db")
        now_day = int(__import__("time").time()) // 86_400
        alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
        number = 0
        for digit in key_id.removeprefix("key_"):
            number = number * 32 + alphabet.index(digit)
        (row,) = database.execute("SELECT number FROM keys WHERE id = ?", (number.to_bytes(16, "big"),)).fetchone()
        for days_ago, count in days.items():
            database.execute(
                "INSERT INTO usage_day (key, bucket, code, count, cost) VALUES (?, ?, 0, ?, ?)",
                (row, now_day - days_ago, count, count),
            )
        database.execute("UPDATE keys SET created_at = ? WHERE number = ?", ((now_day - 100) * 86_400_000, row))
        database.commit()
        database.close()
