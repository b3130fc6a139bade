// A router without a framework: links of the site change the path and the view, without loading a page.
const notes = [
  { id: 1, title: "Routes", text: "Every path shows index.html, and app.js shows what the path names." },
  { id: 2, title: "Deploys", text: "A page and its scripts are replaced together; tabs that are open keep working." },
];

const routes = [
  [/^\/$/, () => [heading("Notes"), list()]],
  [/^\/about$/, () => [heading("About"), paragraph("The notes are in app.js. A backend could read the table notes.")]],
  [/^\/notes\/(\d+)$/, (id) => note(Number(id))],
];

function element(name, fields) {
  return Object.assign(document.createElement(name), fields);
}

const heading = (textContent) => element("h1", { textContent });
const paragraph = (textContent) => element("p", { textContent });

function list() {
  const items = notes.map(({ id, title }) => {
    const item = element("li");
    item.append(element("a", { href: `/notes/${id}`, textContent: title }));
    return item;
  });
  const all = element("ul");
  all.append(...items);
  return all;
}

function note(id) {
  const found = notes.find((each) => each.id === id);
  return found ? [heading(found.title), paragraph(found.text)] : [heading("No such note")];
}

function show() {
  for (const [pattern, view] of routes) {
    const found = pattern.exec(location.pathname);
    if (found) return document.querySelector("#view").replaceChildren(...view(...found.slice(1)));
  }
  return document.querySelector("#view").replaceChildren(heading("No such page"));
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || link.origin !== location.origin || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.pathname);
  show();
});
window.addEventListener("popstate", show);
show();
