// Magic links open this page with ?token=…&email=…. A token works once and expires after 15 minutes.
const show = (text) => (document.querySelector("#who").textContent = text);
const { token, email } = Object.fromEntries(new URLSearchParams(location.search));

async function signIn() {
  if (!token || !email) return show("Open this page with a magic link from your email.");
  history.replaceState(null, "", location.pathname); // keep the token out of the address bar and the history
  const response = await fetch(".mosaic/auth/verify", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, email }),
  });
  if (response.status === 404 || response.status === 405) {
    return show(`The link is for ${email}, but on this platform only a backend can verify it.`);
  }
  const result = await response.json();
  if (!response.ok) return show(`Sign-in failed: ${result.error?.message ?? response.status}`);
  sessionStorage.setItem("email", result.email);
  return show(`Signed in as ${result.email}`);
}

signIn().catch((error) => show(`Sign-in failed: ${error.message}`));
