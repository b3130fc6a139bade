// Comfort only: every page can be read without this.

const ZONE_KEY = "mosaic-times";
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const pad = (number) => String(number).padStart(2, "0");

function utcText(at) {
  return at.toISOString().slice(0, 19).replace("T", " ");
}

function localText(at) {
  const date = [at.getFullYear(), pad(at.getMonth() + 1), pad(at.getDate())].join("-");
  return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(":")}`;
}

function showTimes(isLocal) {
  for (const one of document.querySelectorAll("time[datetime]")) {
    const at = new Date(one.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = isLocal ? localText(at) : utcText(at);
    if ("relative" in one.dataset) one.title = isLocal ? text : `${text} UTC`;
    else one.textContent = text;
  }
  for (const place of document.querySelectorAll("[data-times]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = isLocal ? "Show UTC" : "Show local time";
    button.addEventListener("click", () => {
      localStorage.setItem(ZONE_KEY, isLocal ? "utc" : "local");
      showTimes(!isLocal);
    });
    place.replaceChildren(isLocal ? `Times are local (${zone}). ` : "Times are in UTC. ", button);
  }
}

function enableCopying() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const label = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    });
  }
}

showTimes(localStorage.getItem(ZONE_KEY) !== "utc");
enableCopying();

// Lists of requests stay current while the page is visible.
const LIVE_MS = 2000;

async function refreshLive(place) {
  const response = await fetch(location.href);
  if (!response.ok) return false;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("[data-live]");
  if (!fresh) return false;
  if (place.querySelector("details[open]") || place.contains(document.activeElement)) return true;
  place.replaceChildren(...fresh.childNodes);
  showTimes(localStorage.getItem(ZONE_KEY) !== "utc");
  return true;
}

function keepLive(place) {
  const state = document.querySelector("[data-live-state]");
  state.textContent = "New ones appear by themselves.";
  setInterval(async () => {
    if (document.hidden) return;
    const isCurrent = await refreshLive(place).catch(() => false);
    state.textContent = isCurrent ? "New ones appear by themselves." : "The platform doesn't answer; reload the page.";
  }, LIVE_MS);
}

const live = document.querySelector("[data-live]");
if (live) keepLive(live);
