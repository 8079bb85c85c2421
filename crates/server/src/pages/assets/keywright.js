// What the pages share: talk with the server, forms, messages.

const CSRF = "keywright-csrf";

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** One request. The answer's status and JSON; `ok` is false also when there was no answer. */
export async function call(method, path, body) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const csrf = sessionStorage.getItem(CSRF);
  if (csrf && method !== "GET") headers["x-csrf-token"] = csrf;
  try {
    const response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", redirect: "error",
    });
    const text = await response.text();
    const data = text ? JSON.parse(text) : {};
    if (data.csrf_token) sessionStorage.setItem(CSRF, data.csrf_token);
    return { ok: response.ok, status: response.status, data };
  } catch {
    return { ok: false, status: 0, data: { detail: "The server did not answer. Look at your connection, then try again." } };
  }
}

/** Forgets what belonged to a session. */
export function forget() {
  sessionStorage.removeItem(CSRF);
}

/** Tells what went wrong, where screen readers hear it at once; "" for nothing. */
export function alarm(text) {
  byId("alert").textContent = text;
  byId("status").textContent = "";
}

/** Tells that something worked. */
export function tell(text) {
  byId("alert").textContent = "";
  byId("status").textContent = text;
}

/** What an answer says that was a refusal. */
export function reason({ status, data }) {
  const text = data.detail || data.title || `The server answered ${status}.`;
  return data.retry_after ? `${text} (${data.retry_after} s)` : text;
}

/** Shows the one of the sections whose id is `id`, and puts the focus on its first field or its heading. */
export function show(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  const target = byId(id).querySelector("input, h1, h2");
  if (target) {
    if (target.matches("h1, h2")) target.tabIndex = -1;
    target.focus();
  }
}

/** Runs `send(fields)` when the form with this id is sent, once at a time. */
export function onSubmit(id, send) {
  const form = byId(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button:not([type=button])");
    const fields = Object.fromEntries(new FormData(form));
    alarm("");
    button.disabled = true;
    try {
      await send(fields, form);
    } finally {
      button.disabled = false;
    }
  });
}

/** The token behind the `#` of a link. It stays neither in the address bar nor in the history. */
export function tokenOfLink() {
  const token = location.hash.slice(1);
  if (token) history.replaceState(null, "", location.pathname);
  return token;
}

/** An element with a text. */
export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
