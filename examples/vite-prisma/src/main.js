import "./style.css";

const { hostname } = location;
const backend = hostname.endsWith(".localhost") ? `http://${hostname}:3001` : import.meta.env.VITE_BACKEND_URL;
const form = document.querySelector("form");

async function call(options) {
  const response = await fetch(`${backend}/notes`, options);
  const result = await response.json();
  if (!response.ok) throw new Error(result.error);
  return result;
}

async function load() {
  const items = (await call()).map(({ text }) => Object.assign(document.createElement("li"), { textContent: text }));
  document.querySelector("ul").replaceChildren(...items);
}

const attempt = (action) =>
  action().catch((error) => (document.querySelector("#message").textContent = `Failed: ${error.message}`));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = new FormData(form).get("text");
  attempt(async () => {
    await call({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text }) });
    form.reset();
    await load();
  });
});

attempt(load);
