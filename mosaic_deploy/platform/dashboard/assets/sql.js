// The editor of the SQL tab, its history, and running a selection. Without this the page has a plain text field.

const nonce = document.currentScript.nonce;
const form = document.querySelector("form.query");
const field = form.querySelector("textarea");
const project = form.dataset.project;
const HISTORY_KEY = `mosaic-queries-${project}`;
const DRAFT_KEY = `mosaic-query-${project}`;
const MAX_HISTORY = 50;
const MAX_SHOWN = 200;

const { Compartment, EditorState, EditorView, PostgreSQL, Prec, basicSetup, classHighlighter, keymap, sql,
  syntaxHighlighting } = CodeMirror;

const language = new Compartment();

function languageWith(schemas) {
  return sql({ dialect: PostgreSQL, schema: schemas, defaultSchema: "public", upperCaseKeywords: true });
}

function run() {
  form.requestSubmit(form.querySelector("button[value=run]"));
  return true;
}

function createEditor() {
  const view = new EditorView({
    state: EditorState.create({
      doc: field.value,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run }])),
        basicSetup,
        syntaxHighlighting(classHighlighter),
        language.of(languageWith({})),
        EditorView.cspNonce.of(nonce),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "SQL" }),
      ],
    }),
  });
  field.hidden = true;
  form.querySelector("label[for=query]").hidden = true;
  field.after(view.dom);
  return view;
}

function setText(view, text) {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
  view.focus();
}

function selectedText(view) {
  const { from, to } = view.state.selection.main;
  return view.state.sliceDoc(from, to);
}

function readStored(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}

function store(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // The browser keeps nothing more.
  }
}

function readHistory() {
  const found = readStored(localStorage, HISTORY_KEY);
  return Array.isArray(found) ? found.filter((one) => typeof one === "string") : [];
}

function showHistory(view) {
  const queries = readHistory();
  const place = document.querySelector("[data-history]");
  place.hidden = queries.length === 0;
  place.querySelector("ul").replaceChildren(...queries.map((query) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = query.length > MAX_SHOWN ? `${query.slice(0, MAX_SHOWN)}…` : query;
    button.addEventListener("click", () => setText(view, query));
    item.append(button);
    return item;
  }));
}

// If only a selection was run, the page comes back with that alone.
function restoreWhole(view) {
  const kept = readStored(sessionStorage, DRAFT_KEY);
  if (kept && kept.sent === field.value && typeof kept.whole === "string") setText(view, kept.whole);
}

const view = createEditor();
restoreWhole(view);
showHistory(view);
document.querySelector("[data-query-help]").hidden = false;

form.addEventListener("submit", () => {
  const whole = view.state.doc.toString();
  const selected = selectedText(view);
  field.value = selected.trim() ? selected : whole;
  if (!field.value.trim()) return;
  store(sessionStorage, DRAFT_KEY, { sent: field.value, whole });
  store(localStorage, HISTORY_KEY, [field.value, ...readHistory().filter((one) => one !== field.value)].slice(0, MAX_HISTORY));
});

fetch(`/projects/${project}/sql/names.json`)
  .then((response) => (response.ok ? response.json() : { schemas: {} }))
  .then(({ schemas }) => view.dispatch({ effects: language.reconfigure(languageWith(schemas)) }), () => {});
