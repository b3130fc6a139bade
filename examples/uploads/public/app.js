// A page can't hold the API key, so the backend stores the pictures.
const { hostname } = location;
const backend = hostname.endsWith(".localhost")
  ? `http://${hostname}:3001` // `mosaic-deploy dev` runs it
  : "https://pictures-api.example.com"; // where you host it
const find = (selector) => document.querySelector(selector);

async function call(path, options) {
  const response = await fetch(backend + path, options);
  const text = await response.text();
  const result = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Error(result?.error ?? response.statusText);
  return result;
}

async function load() {
  // The embedded platform serves storage files under /storage/ of the site.
  const pictures = (await call("/pictures")).map(({ filename, title }) => {
    const picture = document.createElement("figure");
    picture.append(
      Object.assign(document.createElement("img"), { src: `/storage/${filename}`, alt: title, loading: "lazy" }),
      Object.assign(document.createElement("figcaption"), { textContent: title }),
    );
    return picture;
  });
  find("#pictures").replaceChildren(...pictures);
}

const attempt = (action) => action().catch((error) => (find("#message").textContent = error.message));

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = new FormData(event.target);
  const options = { method: "POST", body: fields.get("picture") };
  attempt(async () => {
    find("#message").textContent = "Uploading…";
    await call(`/pictures?title=${encodeURIComponent(fields.get("title"))}`, options);
    find("#message").textContent = "";
    event.target.reset();
    await load();
  });
});

attempt(load);
