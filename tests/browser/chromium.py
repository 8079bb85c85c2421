"""Chromium without a window, driven over the DevTools protocol through two pipes: no port, no library."""

import json
import os
import subprocess
import tempfile
import time

SOON_SECONDS = 60


class Chromium:
    """One browser. `page()` opens a page with cookies of its own."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="keywright-browser-", ignore_cleanup_errors=True)
        to_browser, self.commands = os.pipe()
        self.answers, from_browser = os.pipe()
        # Chromium reads commands from 3 and writes answers to 4.
        wrapper = f"exec 3<&{to_browser} 4>&{from_browser}; exec chromium \"$@\""
        self.process = subprocess.Popen(
            ["bash", "-c", wrapper, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}", "about:blank"],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.buffer = b""
        self.number = 0
        self.pages = {}

    def close(self):
        self.send("Browser.close")
        self.process.wait(SOON_SECONDS)
        os.close(self.commands)
        os.close(self.answers)
        self.profile.cleanup()

    def receive(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.answers, 65536)
            assert piece, "the browser has ended"
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, session=None, **parameters):
        """The result of one command; events that come meanwhile go to their pages."""
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if answer.get("sessionId") in self.pages:
                self.pages[answer["sessionId"]].notice(answer["method"], answer["params"])

    def page(self, base_url, width=1024, dark=False):
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, base_url)
        self.pages[session] = page
        for domain in ["Page", "Runtime", "Network", "Log"]:
            page.send(f"{domain}.enable")
        page.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.send("Emulation.setEmulatedMedia", features=[scheme])
        return page


class Page:
    """A page, what it complained about, and what it asked for elsewhere."""

    def __init__(self, chromium, session, base_url):
        self.chromium, self.session, self.base_url = chromium, session, base_url
        self.complaints, self.elsewhere = [], []

    def send(self, method, **parameters):
        return self.chromium.send(method, self.session, **parameters)

    def notice(self, event, parameters):
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(parameters["args"]))
        elif event == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            entry = parameters["entry"]
            # The browser reports each refusal of the API as an error of the network; that it was told is tested by its text.
            if not (entry["source"] == "network" and "/v1/" in entry.get("url", "")):
                self.complaints.append(entry["text"])
        elif event == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith((self.base_url, "data:", "about:")):
                self.elsewhere.append(url)

    def run(self, script):
        """The value of a script, which may be a promise."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, f"{script}: {result}"
        return result["result"].get("value")

    def wait(self, script, what=None):
        deadline = time.monotonic() + SOON_SECONDS
        while time.monotonic() < deadline:
            try:
                value = self.run(script)
            except AssertionError:
                value = None  # between two documents
            if value:
                return value
            time.sleep(0.03)
        raise AssertionError(f"not in time: {what or script}; the page says:\n{self.run('document.body.innerText')}")

    def open(self, address):
        """Goes to an address as by a link in another window."""
        self.send("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank'")
        self.send("Page.navigate", url=address if "://" in address else self.base_url + address)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'", f"{address} is there")

    def arrive(self, path):
        """Waits until the page is another one."""
        self.wait(f"location.pathname === {json.dumps(path)} && document.readyState === 'complete'", f"to be at {path}")

    def see(self, text):
        """Waits until a text is to be seen."""
        return self.wait(f"document.body.innerText.includes({json.dumps(text)})", f"to see {text!r}")

    def fill(self, field, text):
        """Types into the field with this label."""
        self.wait(f"{labelled(field)}?.checkVisibility()", f"the field {field!r}")
        self.run(f"{labelled(field)}.value = ''; {labelled(field)}.focus()")
        self.send("Input.insertText", text=text)

    def enter(self):
        """Sends the form that has the focus, by the keyboard."""
        for kind in ["keyDown", "keyUp"]:
            self.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)

    def press(self, name):
        """Presses the button, or follows the link, with this name."""
        found = f"[...document.querySelectorAll('button, a')].find(e => e.checkVisibility() && e.innerText.trim() === {json.dumps(name)})"
        self.wait(f"{found} && !{found}.disabled", f"the button {name!r}")
        self.run(f"{found}.click()")

    def is_within_width(self):
        return self.run("document.documentElement.scrollWidth <= innerWidth")


def labelled(field):
    return (
        "((label) => label && document.getElementById(label.htmlFor))"
        f"([...document.querySelectorAll('label')].find(l => l.checkVisibility() && l.innerText.trim() === {json.dumps(field)}))"
    )
