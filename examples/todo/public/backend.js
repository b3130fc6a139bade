// Where the backend is. A page can't hold the API key, so it asks the backend, which has it.
const { hostname } = location;
const backend = hostname.endsWith(".localhost") || hostname === "127.0.0.1"
  ? `http://${hostname}:3001` // `mosaic-deploy dev` runs it; on the page's own host, so that the browser keeps its cookie
  : "https://todo-api.example.com"; // where you host it

export async function call(method, path, document) {
  let response;
  try {
    response = await fetch(backend + path, {
      method,
      credentials: "include",
      headers: document && { "Content-Type": "application/json" },
      body: document && JSON.stringify(document),
    });
  } catch {
    throw new Error("The backend can't be reached. On this machine, `mosaic-deploy dev` runs it, for the page's .localhost address.");
  }
  const text = await response.text();
  const result = text ? JSON.parse(text) : {};
  if (!response.ok) throw Object.assign(new Error(result.error ?? response.statusText), { status: response.status });
  return result;
}
