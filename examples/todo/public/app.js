// The list is stored in the browser: a page must not contain the API key, so it can't query the database.
const stored = () => JSON.parse(localStorage.getItem("todos") ?? "null") ?? [
  { task: "Read mosaic.yaml", done: true },
  { task: "Change a page and apply again", done: false },
];

function show(todos) {
  localStorage.setItem("todos", JSON.stringify(todos));
  const items = todos.map((todo, index) => {
    const item = document.createElement("li");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: todo.done });
    const text = Object.assign(document.createElement("span"), { textContent: todo.task });
    item.classList.toggle("done", todo.done);
    box.addEventListener("change", () => show(todos.with(index, { ...todo, done: box.checked })));
    item.append(box, text);
    return item;
  });
  document.querySelector("#todos").replaceChildren(...items);
}

document.querySelector("#add").addEventListener("submit", (event) => {
  event.preventDefault();
  const task = new FormData(event.target).get("task").trim();
  if (task) show([...stored(), { task, done: false }]);
  event.target.reset();
});

const email = sessionStorage.getItem("email");
if (email) document.querySelector("#who").textContent = `Signed in as ${email}`;
show(stored());
