"""A mail server that keeps letters."""

import email
import email.policy
import re
import socketserver
import threading
import time

SOON_SECONDS = 60


class MailSink(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Session)
        self.letters = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def letter_to(self, address, after=0):
        """The first letter with a link to somebody among those after so many: its text, and the link."""
        deadline = time.monotonic() + SOON_SECONDS
        while time.monotonic() < deadline:
            for to, letter in self.letters[after:]:
                text = letter.get_body(("plain",)).get_content()
                if to == address and (link := re.search(r"https?://\S+", text)):
                    return text, link[0]
            time.sleep(0.05)
        raise AssertionError(f"no letter to {address}")


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 sink")
        to = None
        while line := self.rfile.readline().decode().strip():
            command = line.upper()
            if command.startswith("RCPT"):
                to = re.search(r"<(.+?)>", line)[1]
            if command == "DATA":
                self.say("354 go on")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part.removeprefix(b"."))
                self.server.letters.append((to, email.message_from_bytes(b"".join(lines), policy=email.policy.default)))
            self.say("221 bye" if command == "QUIT" else "250 ok")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")
