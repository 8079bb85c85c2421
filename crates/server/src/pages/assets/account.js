import { alarm, byId, call, element, forget, onSubmit, reason, show, tell } from "/ui/keywright.js";

let account;
let proven;
let isOut = false;

/** Calls; when the server wants a fresh proof of who this is, asks for it and calls once more. */
async function dangerous(method, path, body) {
  const answer = await call(method, path, body);
  if (answer.data.code !== "reauthentication_required") return answer;
  const isProven = await new Promise((resolve) => {
    proven = resolve;
    byId("prove-code-field").hidden = !account.second_factor;
    show("prove-section");
  });
  show("account-section");
  return isProven ? call(method, path, body) : { ok: false, status: 0, data: { detail: "Nothing was changed." } };
}

onSubmit("prove-form", async ({ password, code }, form) => {
  const body = code.trim() ? { password, code: code.trim() } : { password };
  const answer = await call("POST", "/v1/sessions/reauthenticate", body);
  form.reset();
  if (!answer.ok) return alarm(reason(answer));
  proven(true);
});
byId("prove-cancel").addEventListener("click", () => proven(false));

/** Asks for what is shown; `undefined` when that came to nothing. Whoever signed out meanwhile is told nothing more. */
async function ask(path) {
  const answer = await call("GET", path);
  if (isOut) return undefined;
  if (answer.status === 401) {
    forget();
    location.replace("/sign-in");
    return undefined;
  }
  if (answer.ok) return answer.data;
  alarm(reason(answer));
  return undefined;
}

async function load() {
  const known = await ask("/v1/account");
  if (!known) return;
  account = known;
  byId("who").textContent = `${account.name} (${account.email})`;
  byId("account-email").value = account.email;
  byId("memberships").replaceChildren(...account.memberships.map(membership));
  if (!account.memberships.length) byId("memberships").append(element("li", "You are in no workspace yet."));
  byId("current-field").hidden = !account.has_password;
  byId("current").required = account.has_password;
  showFactor();
  await loadSessions();
  if (!isOut && byId("account-section").hidden) show("account-section");
}

function membership({ slug, role }) {
  const item = element("li", "");
  item.append(element("span", slug), element("small", role));
  return item;
}

async function loadSessions() {
  const sessions = await ask("/v1/sessions");
  if (!sessions) return;
  byId("sessions").replaceChildren(...sessions.data.map(session));
  byId("others-form").hidden = sessions.data.length < 2;
}

function session({ id, agent, last_used_at, current }) {
  const item = element("li", "");
  const used = new Date(last_used_at).toLocaleString();
  item.append(element("span", `${agent || "A program"}${current ? " (here)" : ""}`), element("small", `last used ${used}`));
  if (!current) {
    const button = element("button", "Sign out", { type: "button", class: "quiet", "aria-label": `Sign out ${agent}` });
    button.addEventListener("click", async () => {
      const answer = await call("DELETE", `/v1/sessions/${id}`);
      if (!answer.ok) return alarm(reason(answer));
      tell("Signed out there.");
      await loadSessions();
    });
    item.append(button);
  }
  return item;
}

function showFactor() {
  const isOn = account.second_factor;
  byId("factor-state").textContent = isOn
    ? "An authenticator is asked for when you sign in with your password."
    : "Nothing but your password is asked for when you sign in.";
  byId("begin-form").hidden = isOn || !account.has_password;
  byId("factor-on").hidden = !isOn;
}

onSubmit("out-form", async () => {
  const answer = await call("DELETE", "/v1/sessions/current");
  if (!answer.ok && answer.status !== 401) return alarm(reason(answer));
  isOut = true;
  alarm("");
  forget();
  show("out-section");
});

onSubmit("others-form", async () => {
  const answer = await call("POST", "/v1/sessions/end-others");
  if (!answer.ok) return alarm(reason(answer));
  tell("Signed out everywhere else.");
  await loadSessions();
});

onSubmit("password-form", async ({ current, next }, form) => {
  const body = account.has_password ? { current_password: current, new_password: next } : { new_password: next };
  const answer = await dangerous("PUT", "/v1/account/password", body);
  if (!answer.ok) return alarm(reason(answer));
  form.reset();
  tell("The password is changed.");
  await load();
});

onSubmit("begin-form", async () => {
  const answer = await dangerous("POST", "/v1/account/totp");
  if (!answer.ok) return alarm(reason(answer));
  byId("totp-key").textContent = answer.data.secret;
  byId("otpauth").href = answer.data.uri;
  byId("begin-form").hidden = true;
  byId("enrolment").hidden = false;
  byId("code").focus();
});

function showCodes(codes) {
  byId("recovery-codes").replaceChildren(...codes.map((code) => element("li", code)));
  byId("recovery").hidden = false;
}

onSubmit("confirm-form", async ({ code }, form) => {
  const answer = await dangerous("POST", "/v1/account/totp/confirm", { code });
  if (!answer.ok) return alarm(reason(answer));
  form.reset();
  byId("enrolment").hidden = true;
  byId("totp-key").textContent = "";
  showCodes(answer.data.recovery_codes);
  await load();
  tell("The second factor is on.");
});

onSubmit("codes-form", async () => {
  const answer = await dangerous("POST", "/v1/account/recovery-codes");
  if (!answer.ok) return alarm(reason(answer));
  showCodes(answer.data.recovery_codes);
  tell("The older recovery codes are not good any more.");
});

onSubmit("drop-form", async () => {
  const answer = await dangerous("DELETE", "/v1/account/totp");
  if (!answer.ok) return alarm(reason(answer));
  byId("recovery").hidden = true;
  await load();
  tell("The second factor is off.");
});

await load();
