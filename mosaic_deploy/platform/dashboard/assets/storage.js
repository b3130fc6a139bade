// Uploads files: the dashboard says where to, after the questions that must be answered first.

const form = document.querySelector("[data-upload]");
const state = form.querySelector("[data-upload-state]");
form.hidden = false;

async function askForUpload(file, filename, confirmed) {
  const response = await fetch(form.dataset.upload, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ filename, size: file.size, confirmed }),
  });
  const content = await response.json();
  if (!response.ok) throw new Error(content.error.message);
  return content;
}

async function upload(file, filename) {
  let answer = await askForUpload(file, filename, []);
  const given = [];
  while (answer.confirm) {
    for (const { answer: value, question } of answer.confirm) {
      if (given.includes(value)) continue;
      if (!window.confirm(question)) return "skipped";
      given.push(value);
    }
    answer = await askForUpload(file, filename, given);
  }
  const sent = await fetch(answer.upload_url, { method: "PUT", body: file });
  if (!sent.ok) throw new Error((await sent.json()).error.message);
  return "uploaded";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  state.replaceChildren();
  let failed = 0;
  let uploaded = 0;
  const folder = form.querySelector("#into").value.trim().replace(/^\/+|\/+$/g, "");
  for (const file of form.querySelector("#files").files) {
    const line = document.createElement("li");
    line.textContent = `${file.name}: uploading`;
    state.append(line);
    try {
      const result = await upload(file, folder ? `${folder}/${file.name}` : file.name);
      uploaded += result === "uploaded" ? 1 : 0;
      line.textContent = `${file.name}: ${result}`;
    } catch (error) {
      failed += 1;
      line.textContent = `${file.name}: ${error.message}`;
    }
  }
  button.disabled = false;
  if (uploaded && !failed) location.assign(`${location.pathname}${folder ? `?folder=${encodeURIComponent(`${folder}/`)}` : ""}`);
});
