import { alarm, byId, call, onSubmit, reason, show, tokenOfLink } from "/ui/keywright.js";

const token = tokenOfLink();

async function accept(more) {
  const answer = await call("POST", "/v1/invitations/accept", { token, cookie: true, ...more });
  if (!answer.ok) return alarm(reason(answer));
  // Whoever has an account signs in with it; whoever is new is signed in.
  location.assign(answer.data.session ? "/account" : "/sign-in");
}

onSubmit("accept-form", ({ name, password }) => accept({ name: name.trim(), password }));
onSubmit("join-form", () => accept({}));

if (token) {
  const answer = await call("POST", "/v1/invitations/lookup", { token });
  if (answer.ok) {
    const { workspace_name, email, role, needs_password } = answer.data;
    const text = `${email} is invited to ${workspace_name} as ${role}.`;
    byId("about").textContent = text;
    byId("join-about").textContent = text;
    byId("account-email").value = email;
    show(needs_password ? "accept-section" : "join-section");
  } else {
    alarm(reason(answer));
  }
}
