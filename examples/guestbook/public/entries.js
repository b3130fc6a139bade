// The entries are a published file: a page must not contain the API key, so it can't query the database.
const { rows } = await (await fetch("entries.json")).json();

document.querySelector("#entries").append(
  ...rows.map(({ name, message, written_on }) => {
    const item = document.createElement("li");
    const author = Object.assign(document.createElement("cite"), { textContent: `${name}, ${written_on}` });
    item.append(Object.assign(document.createElement("p"), { textContent: message }), author);
    return item;
  }),
);
