import { alarm, byId, call, onSubmit, reason, show, tokenOfLink } from "/ui/keywright.js";

const token = tokenOfLink();
if (!token) show("no-link");

onSubmit("form", async ({ slug, email, name, password }) => {
  const workspace = { slug: slug.trim(), owner_email: email.trim(), owner_password: password };
  if (name.trim()) workspace.owner_name = name.trim();
  const answer = await call("POST", "/v1/setup", { token, workspace });
  if (!answer.ok) return alarm(reason(answer));
  byId("credential").textContent = answer.data.secret;
  show("done");
});
