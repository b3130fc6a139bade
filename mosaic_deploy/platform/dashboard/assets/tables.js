// Comfort only: the forms work without this.

for (const select of document.querySelectorAll("[data-mode]")) {
  const text = document.getElementById(select.dataset.mode);
  const show = () => { text.classList.toggle("unused", select.value !== "value"); };
  text.addEventListener("input", () => { select.value = "value"; show(); });
  select.addEventListener("change", () => {
    show();
    if (select.value === "value") text.focus();
  });
  show();
}

for (const form of document.querySelectorAll("[data-leaving]")) {
  let changed = false;
  form.addEventListener("input", () => { changed = true; });
  form.addEventListener("submit", () => { changed = false; });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(form.querySelector("button.primary"));
  });
  addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
}
