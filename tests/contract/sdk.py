"""The shipped `baytos-claro`, unchanged, against a real server: what its users' programs see."""

import time
import unittest

import requests
from baytos.claro import (
    BaytAPIError, BaytAuthError, BaytClient, BaytNotFoundError, BaytRateLimitError, BaytValidationError,
)

from installation import Installation

FILE = b"Opening hours: 9 to 5.\n" * 1_000


def setUpModule():
    global here
    here = Installation()
    here.__enter__()
    here.make("/v1/workspaces", {"slug": "workspace"})
    fixtures()


def tearDownModule():
    here.__exit__()


def fixtures():
    """The prompts that the SDK's own integration tests ask for."""
    prompts = "/v1/workspaces/workspace/prompts"
    for slug, text in [
        ("published", "Answer shortly."), ("draft", "A draft."), ("with-vars", "Hello {{name:string // of the user}}"),
        ("with-files", "Use the files."), ("with-urls", "Use the links."), ("mixed", "Use everything."),
    ]:
        here.make(prompts, {
            "slug": slug, "title": slug.title(), "generator": text, "system_prompt": "Be kind.",
            "critique_prompt": "Was it kind?", "description": "For tests.", "category": "tests", "tags": ["a", "b"],
        })
        if slug in ("with-files", "mixed"):
            here.make(f"{prompts}/{slug}/context/files?file_name=hours.txt", FILE, headers={"Content-Type": "text/plain"})
        if slug in ("with-urls", "mixed"):
            here.make(f"{prompts}/{slug}/context/links", {"url": "https://example.com/faq", "label": "FAQ"})
        if slug != "draft":
            here.make(f"{prompts}/{slug}/publish")
    here.make(f"{prompts}/published", {"generator": "Answer at length."}, method="PATCH")
    here.make(f"{prompts}/published/publish")


def client(**fields):
    key_id, secret = here.key(**fields)
    return key_id, BaytClient(api_key=secret, base_url=here.url)


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        _, cls.client = client()
        _, cls.author = client(permissions=["prompts:read", "prompts:list", "prompts:write", "context:download"])

    def test_get_published_versions_and_the_latest(self):
        first = self.client.get_prompt("@workspace/published:v1")
        self.assertEqual((first.generator, first.version, first.is_draft), ("Answer shortly.", "v1", False))
        self.assertEqual((first.system, first.critique), ("Be kind.", "Was it kind?"))
        self.assertEqual((first.title, first.description, first.category), ("Published", "For tests.", "tests"))
        self.assertEqual((first.namespace, first.slug, first.package_name),
                         ("workspace", "published", "@workspace/published:v1"))
        self.assertTrue(first.id.startswith("pmt_"))
        for name in ("@workspace/published:latest", "@workspace/published:v2"):
            self.assertEqual(self.client.get_prompt(name).generator, "Answer at length.", name)
        self.assertEqual(self.client.get_prompt("@workspace/published:latest").version, "v2")

    def test_get_a_draft(self):
        draft = self.author.get_prompt("@workspace/draft:v0")
        self.assertEqual((draft.generator, draft.version, draft.is_draft), ("A draft.", "v0", True))

    def test_variables_come_as_they_are(self):
        prompt = self.client.get_prompt("@workspace/with-vars:v1")
        (variable,) = prompt.extract_variables()
        self.assertEqual((variable["name"], variable["type"]), ("name", "string"))
        self.assertEqual(prompt.validate_variables({"name": "Ana"}), {})

    def test_list_with_paging(self):
        seen, cursor, pages = [], None, 0
        while True:
            page = self.client.list_prompts(limit=2, cursor=cursor)
            self.assertIsInstance(page["hasMore"], bool)
            self.assertLessEqual(len(page["prompts"]), 2)
            seen += [prompt.id for prompt in page["prompts"]]
            pages += 1
            cursor = page["cursor"]
            if not page["hasMore"]:
                break
        self.assertEqual(len(seen), len(set(seen)), "no prompt twice")
        self.assertGreaterEqual(len(seen), 5)
        self.assertGreaterEqual(pages, 3)
        whole = self.client.list_prompts()["prompts"]
        self.assertEqual([prompt.id for prompt in whole], seen)
        self.assertTrue(all(prompt.package_name.startswith("@workspace/") for prompt in whole))
        self.assertFalse(any(prompt.is_draft for prompt in whole if prompt.slug != "draft"))

    def test_files_and_links(self):
        prompt = self.client.get_prompt("@workspace/mixed:v1")
        self.assertEqual((len(prompt.get_file_contexts()), len(prompt.get_url_contexts())), (1, 1))
        (file,), (link,) = prompt.get_file_contexts(), prompt.get_url_contexts()
        self.assertEqual((file.file_name, file.file_size, file.mime_type), ("hours.txt", len(FILE), "text/plain"))
        self.assertEqual(link.url, "https://example.com/faq")
        signed = self.client.get_context_download_url(file.id)
        self.assertGreater(signed["expiresIn"], 0)
        content = self.client.download_context_file(file.id)
        self.assertEqual((content, len(content)), (FILE, file.file_size))
        with self.assertRaises(BaytValidationError):
            self.client.get_context_download_url(link.id)

    def test_a_prompt_without_context(self):
        self.assertEqual(self.client.get_prompt("@workspace/published:v1").context, [])


class Failing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        _, cls.client = client()

    def test_a_prompt_that_is_not_there(self):
        with self.assertRaises(BaytNotFoundError) as caught:
            self.client.get_prompt("@workspace/nonexistent:v1")
        self.assertIn("@workspace/nonexistent:v1", str(caught.exception))
        with self.assertRaises(BaytNotFoundError):
            self.client.get_context_download_url("ctx_00000000000000000000000000")

    def test_a_revoked_key_before_any_lookup(self):
        key_id, revoked = client()
        revoked.get_prompt("@workspace/published:v1")
        here.make(f"/v1/workspaces/workspace/keys/{key_id}/revoke")
        for call in (
            lambda: revoked.get_prompt("@workspace/nonexistent:v1"), revoked.list_prompts,
            lambda: revoked.get_context_download_url("ctx_nothing"),
        ):
            with self.assertRaisesRegex(BaytAuthError, "Invalid API key"):
                call()

    def test_bad_keys(self):
        unknown = BaytClient(api_key="sk_live_" + "a" * 42, base_url=here.url)
        with self.assertRaisesRegex(BaytAuthError, "Invalid API key"):
            unknown.list_prompts()
        for local in ("your_api_key_here", "sk_live_abc123", '"sk_live_quoted"'):
            with self.assertRaises(ValueError):
                BaytClient(api_key=local, base_url=here.url)

    def test_a_space_behind_the_key(self):
        _, secret = here.key()
        padded = BaytClient(api_key=f" {secret}", base_url=here.url)
        with self.assertRaisesRegex(BaytAuthError, "Invalid API key"):
            padded.list_prompts()

    def test_a_key_of_another_workspace(self):
        _, secret = here.key(workspace="acme")
        stranger = BaytClient(api_key=secret, base_url=here.url)
        with self.assertRaisesRegex(BaytAuthError, "Invalid API key"):
            stranger.get_prompt("@workspace/published:v1")

    def test_missing_permissions(self):
        _, reader = client(permissions=["prompts:read"])
        reader.get_prompt("@workspace/published:v1")
        with self.assertRaisesRegex(BaytAuthError, "Insufficient permissions"):
            reader.list_prompts()
        with self.assertRaisesRegex(BaytAuthError, "Access denied"):
            reader.get_context_download_url("ctx_nothing")
        _, other = client(permissions=["prompts:list"])
        with self.assertRaisesRegex(BaytAuthError, "Insufficient permissions"):
            other.get_prompt("@workspace/published:v1")

    def test_what_only_the_server_can_refuse(self):
        for name in ("@workspace/published:../../x", "@workspace/published:v1:v2", "@workspace/published:v1\n"):
            with self.assertRaises(BaytAPIError) as caught:
                self.client.get_prompt(name)
            self.assertNotIn("{", str(caught.exception), "a plain sentence, no dictionary")
        with self.assertRaises(BaytAPIError):
            self.client.list_prompts(cursor="nonsense")

    def test_a_server_that_is_not_there(self):
        nowhere = BaytClient(api_key="sk_live_" + "a" * 42, base_url="http://127.0.0.1:9")
        with self.assertRaisesRegex(BaytAPIError, "Failed to connect"):
            nowhere.list_prompts()


class Limits(unittest.TestCase):
    def test_who_sleeps_one_two_and_four_seconds_recovers(self):
        """K5: the SDK ignores Retry-After. A limit that refills evenly lets it in all the same."""
        smooth = {"name": "minute", "limit": 60, "window_seconds": 60, "algorithm": "smooth"}
        hour = {"name": "hour", "limit": 1_000, "window_seconds": 3_600}
        _, limited = client(limits=[smooth, hour])
        begin = time.monotonic()
        for _ in range(62):
            limited.get_prompt("@workspace/published:v1")
        self.assertGreater(time.monotonic() - begin, 0.9, "it was held up at least once")
        answer = here.call("GET", "/v1/prompts?limit=1", key=limited.api_key)
        self.assertEqual(answer.headers["X-RateLimit-Limit"], "60", "the window with the least left")
        self.assertIn('"hour"', answer.headers["RateLimit"], "K21: both are enforced")

    def test_who_is_over_the_limit_for_long_is_told_so(self):
        _, limited = client(limits=[{"name": "minute", "limit": 1, "window_seconds": 60}])
        limited.max_retries = 1
        limited.list_prompts()
        with self.assertRaises(BaytRateLimitError):
            limited.list_prompts()
        answer = here.call("GET", "/v1/prompts", key=limited.api_key)
        self.assertEqual(answer.status, 429)
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertEqual(answer.headers["X-RateLimit-Remaining"], "0")
        self.assertGreaterEqual(int(answer.headers["X-RateLimit-Reset"]), int(time.time()) - 1)

    def test_every_answer_tells_the_limits(self):
        _, secret = here.key()
        for method, path, body in [
            ("POST", "/v1/prompts/get", {"package_name": "@workspace/published:v1"}),
            ("POST", "/v1/prompts/get", {"package_name": "@workspace/nonexistent:v1"}),
            ("GET", "/v1/prompts", None), ("GET", "/v1/usage", None), ("POST", "/v1/redact", {"text": "x"}),
            ("GET", "/api/v1/prompts/context/download-url?contextId=ctx_nothing", None),
            ("GET", "/v1/prompts/context/download-url?contextId=ctx_nothing", None),
        ]:
            answer = here.call(method, path, body, key=secret)
            for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy"):
                self.assertIn(name, answer.headers, (path, answer.status, answer.body))


class Downloads(unittest.TestCase):
    def test_a_signed_link_needs_no_key_and_cannot_be_altered(self):
        _, holder = client()
        (file,) = holder.get_prompt("@workspace/with-files:v1").get_file_contexts()
        url = holder.get_context_download_url(file.id)["url"]
        self.assertEqual(requests.get(url, timeout=30).content, FILE)
        part = requests.get(url, headers={"Range": "bytes=0-6"}, timeout=30)
        self.assertEqual((part.status_code, part.content), (206, FILE[:7]))
        altered = url[:-1] + ("A" if url[-1] != "A" else "B")
        self.assertIn(requests.get(altered, timeout=30).status_code, (400, 401, 403, 404))


if __name__ == "__main__":
    unittest.main()
