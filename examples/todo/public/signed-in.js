// A sign-in link leads here with ?token=…&email=…. The token works once and lives 15 minutes.
const say = (text) => (document.querySelector("#who").textContent = text);
const { token, email } = Object.fromEntries(new URLSearchParams(location.search));

async function signIn() {
  if (!token || !email) return say("This page is where sign-in links lead. There is no link here to check.");
  history.replaceState(null, "", location.pathname); // the token doesn't stay in the address or the history
  const response = await fetch(".mosaic/auth/verify", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, email }),
  });
  if (response.status === 404 || response.status === 405) {
    return say(`The link names ${email}, but this platform has no endpoint for a page to check it: ask a backend.`);
  }
  const answer = await response.json();
  if (!response.ok) return say(`The link can't be used: ${answer.error?.message ?? response.status}`);
  sessionStorage.setItem("email", answer.email);
  return say(`Signed in as ${answer.email}`);
}

signIn().catch((error) => say(`The link couldn't be checked: ${error.message}`));
