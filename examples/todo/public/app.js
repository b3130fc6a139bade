import { call } from "./backend.js";

const find = (selector) => document.querySelector(selector);
const say = (text) => (find("#who").textContent = text);

function show({ email, todos }) {
  say(`Signed in as ${email}`);
  find("#sign-in").hidden = true;
  for (const part of ["#add", "#todos", "#sign-out"]) find(part).hidden = false;
  find("#todos").replaceChildren(...todos.map(item));
}

function item({ id, task, done }) {
  const line = document.createElement("li");
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: done });
  const text = Object.assign(document.createElement("span"), { textContent: task });
  line.classList.toggle("done", done);
  box.addEventListener("change", () => attempt(() => call("PATCH", `/todos/${id}`, { done: box.checked }).then(load)));
  label.append(box, text);
  line.append(label);
  return line;
}

const load = async () => show(await call("GET", "/todos"));
const attempt = (action) => action().catch((error) => say(error.message));

function onSubmit(selector, action) {
  find(selector).addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    attempt(async () => {
      await action(fields);
      event.target.reset();
    });
  });
}

onSubmit("#sign-in", async ({ email }) => {
  await call("POST", "/auth/link", { email });
  say(`A magic link is on its way to ${email}.`);
});
onSubmit("#add", async ({ task }) => {
  await call("POST", "/todos", { task });
  await load();
});
find("#sign-out").addEventListener("click", () => attempt(() => call("POST", "/auth/sign-out").then(() => location.reload())));

load().catch((error) => {
  find("#sign-in").hidden = false;
  say(error.status === 401 ? "Sign in with a magic link." : error.message);
});
