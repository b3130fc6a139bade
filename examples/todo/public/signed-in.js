// Magic links open this page with ?token=…&email=…. A token works once and expires after 15 minutes. It is used on a
// click: programs that look at links in emails open this page, too, and would use it up.
import { call } from "./backend.js";

const say = (text) => (document.querySelector("#who").textContent = text);
const button = document.querySelector("#confirm");
const { token, email } = Object.fromEntries(new URLSearchParams(location.search));
history.replaceState(null, "", location.pathname); // keeps the token out of the address bar and the history

if (token && email) {
  say(`The link is for ${email}.`);
  button.hidden = false;
} else {
  say("Open this page with a magic link from your email.");
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await call("POST", "/auth/verify", { token, email });
    location.replace("./");
  } catch (error) {
    say(`Sign-in failed: ${error.message}`);
  }
});
