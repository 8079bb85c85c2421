"""The same two routes as a Python service would serve them: FastAPI over SQLite, tuned.

Run by `keywright-bench prompts`, which also fills the database that PEER_DATABASE names. What is fair to the peer: keys and
their limits are in memory (one dictionary look-up after SHA-256), the database is opened read-only and mapped into memory,
statements are prepared once, bodies are read and written by orjson without response models, and handlers run on the event
loop, for a query takes less time than a hop to a thread.
"""

import hashlib
import os
import sqlite3
import time

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response

app = FastAPI(openapi_url=None)
database = sqlite3.connect(
    f"file:{os.environ['PEER_DATABASE']}?mode=ro&immutable=1", uri=True, check_same_thread=False, cached_statements=16
)
database.execute("PRAGMA mmap_size = 1073741824")
database.execute("PRAGMA cache_size = -65536")

COLUMNS = (
    "p.id, v.title, v.content, v.system, v.critique, v.description, v.category, v.tags, v.version, w.slug, p.slug, "
    "v.created_at, p.created_at"
)
GET = f"""SELECT {COLUMNS} FROM workspaces w JOIN prompts p ON p.workspace = w.id JOIN versions v ON v.prompt = p.id
WHERE w.id = ? AND p.slug = ? AND v.version = ?"""
LIST = f"""SELECT {COLUMNS} FROM workspaces w JOIN prompts p ON p.workspace = w.id
JOIN versions v ON v.prompt = p.id AND v.version = p.latest WHERE w.id = ? AND p.id > ? ORDER BY p.id LIMIT ?"""

# Digest of a key → [workspace, its slug, limit per minute, fixed window, spent in it, spent in the one before].
KEYS = {
    digest: [workspace, slug, limit, 0, 0, 0]
    for digest, workspace, slug, limit in database.execute(
        "SELECT k.digest, k.workspace, w.slug, k.per_minute FROM keys k JOIN workspaces w ON w.id = k.workspace"
    )
}


def problem(status, text, **headers):
    return Response(orjson.dumps({"status": status, "error": text}), status, headers, "application/problem+json")


def admit(request):
    """The key's entry and the limit headers, or a refusal: a sliding window counter, as the other side has."""
    header = request.headers.get("authorization", "")
    if not header.startswith("Bearer "):
        return None, problem(401, "Unauthorized")
    key = KEYS.get(hashlib.sha256(header[7:].encode()).digest())
    if key is None:
        return None, problem(401, "Invalid API key")
    now = time.time()
    window, elapsed = divmod(now, 60)
    if key[3] != window:
        key[5] = key[4] if key[3] == window - 1 else 0
        key[3], key[4] = window, 0
    spent = key[4] + key[5] * (60 - elapsed) / 60
    if spent + 1 > key[2]:
        return None, problem(429, "Rate limit exceeded", **{"Retry-After": str(int(60 - elapsed) + 1)})
    key[4] += 1
    headers = {
        "X-RateLimit-Limit": str(key[2]),
        "X-RateLimit-Remaining": str(int(key[2] - spent - 1)),
        "X-RateLimit-Reset": str(int(now - elapsed + 60)),
    }
    return key, headers


def shown(row):
    (id, title, content, system, critique, description, category, tags, version, workspace, slug, created, born) = row
    return {
        "id": id, "title": title, "content": content, "systemPrompt": system, "critiquePrompt": critique,
        "description": description, "category": category, "tags": orjson.loads(tags), "version": f"v{version}",
        "is_draft": version == 0, "workspaceSlug": workspace, "packageName": slug, "context": [],
        "metadata": {"createdAt": born, "generatedAt": created},
    }


@app.post("/v1/prompts/get")
async def get_prompt(request: Request):
    key, headers = admit(request)
    if key is None:
        return headers
    name = orjson.loads(await request.body()).get("package_name", "")
    namespace, _, rest = name.removeprefix("@").partition("/")
    slug, _, version = rest.partition(":")
    if namespace != key[1]:
        return problem(401, "Invalid API key: this key belongs to another workspace.", **headers)
    row = database.execute(GET, (key[0], slug, int(version[1:]))).fetchone()
    if row is None:
        return problem(404, f"Prompt not found: {name}", **headers)
    return Response(orjson.dumps(shown(row)), 200, headers, "application/json")


@app.get("/v1/prompts")
async def list_prompts(request: Request):
    key, headers = admit(request)
    if key is None:
        return headers
    limit = int(request.query_params.get("limit", "20"))
    rows = database.execute(LIST, (key[0], request.query_params.get("cursor", ""), limit + 1)).fetchall()
    page = [shown(row) for row in rows[:limit]]
    more = len(rows) > limit
    body = {"prompts": page, "cursor": page[-1]["id"] if more else None, "hasMore": more}
    return Response(orjson.dumps(body), 200, headers, "application/json")
