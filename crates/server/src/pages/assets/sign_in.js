import { alarm, byId, call, element, onSubmit, reason, show } from "/ui/keywright.js";

// What the callback of a provider reports, and the way out of it.
const PROBLEMS = {
  sign_in_not_begun: "This sign-in took too long, was finished before, or was begun in another browser. Begin again.",
  identity_provider_refused: "The provider did not sign you in. Begin again; if that does not help, ask whoever runs the provider.",
  identity_provider_unavailable: "The provider does not answer at the moment. Try again later, or sign in with your password.",
  identity_not_trusted: "What the provider said about you could not be verified. Begin again; if that does not help, tell the operator.",
  identity_not_admitted: "You are known to the provider, but not admitted here. Use your work address, or ask an Owner to invite you.",
  not_found: "There is no such provider. Choose one below.",
};

const problem = new URLSearchParams(location.search).get("problem");
if (problem) {
  alarm(`${PROBLEMS[problem] ?? "Signing in did not work. Begin again."} (${problem})`);
  history.replaceState(null, "", location.pathname);
}

let first;

async function signIn(more) {
  const answer = await call("POST", "/v1/sessions", { ...first, ...more, cookie: true });
  if (answer.ok) return location.assign("/account");
  if (answer.data.code === "second_factor_required") return show("code-section");
  alarm(reason(answer));
  const field = byId(more ? "code" : "password");
  field.value = "";
  field.focus();
}

onSubmit("password-form", ({ email, password }) => {
  first = { email: email.trim(), password };
  return signIn();
});

onSubmit("code-form", ({ code }) => {
  return signIn({ code: code.trim() });
});

const providers = await call("GET", "/v1/sign-in/oidc");
for (const { title, url } of providers.data.data ?? []) {
  byId("providers").append(element("a", `Sign in with ${title}`, { class: "button", href: url }));
}
