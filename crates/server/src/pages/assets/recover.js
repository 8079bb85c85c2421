import { alarm, call, onSubmit, reason, show, tokenOfLink } from "/ui/keywright.js";

const token = tokenOfLink();
if (token) show("set-section");

onSubmit("ask-form", async ({ email }) => {
  const answer = await call("POST", "/v1/account/recovery", { email: email.trim() });
  if (!answer.ok) return alarm(reason(answer));
  show("asked-section");
});

onSubmit("set-form", async ({ password }) => {
  const answer = await call("POST", "/v1/account/recovery/finish", { token, password });
  if (!answer.ok) return alarm(reason(answer));
  show("set-done-section");
});
