// Runs in a project's pages while `mosaic-deploy dev` follows edits: reloads them, and shows errors over them;
// what is wrong with a draft, for which everything is live, is a small notice.
(() => {
  "use strict";
  if (window.__mosaicDev) return;
  window.__mosaicDev = true;
  let version = null, overlay = null;

  const css = `
    :host { all: initial }
    .frame, .notice { box-sizing: border-box; position: fixed; z-index: 2147483647; text-align: left;
      background: #17171c; color: #e8e8ec; font: 14px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
    .frame { inset: 0; overflow: auto; padding: 2rem; background: rgba(23, 23, 28, .96); outline: 0 }
    .notice { right: 1rem; bottom: 1rem; max-width: min(32rem, calc(100vw - 2rem)); padding: .75rem 1rem;
      border-left: 4px solid #f0b429; border-radius: 4px; box-shadow: 0 4px 20px rgba(0, 0, 0, .4) }
    h1 { font: bold 18px/1.4 system-ui, sans-serif; margin: 0 0 1rem; color: #ff8080; overflow-wrap: anywhere }
    .notice h1 { font-size: 14px; margin: 0 0 .25rem; color: #f0b429 }
    pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 1rem }
    .notice pre { margin: 0 0 .5rem; max-height: 4.5em; overflow: hidden }
    .code { color: #b9c0cc } .caret { color: #ff8080; font-weight: bold }
    .hint { color: #f0d58c } .next { color: #8ecbff } a { color: #8ecbff }
    button { font: 13px system-ui, sans-serif; padding: .3rem .8rem; margin: 0 .5rem 0 0; cursor: pointer;
      background: #34343e; color: #fff; border: 1px solid #6b6b78; border-radius: 4px }
    :focus-visible { outline: 2px solid #8ecbff; outline-offset: 2px }`;

  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // A line's texts, with a link for each place that the editor can open. Always text nodes: files may say anything.
  const linked = (line, links) => {
    const found = Object.keys(links).filter((text) => line.includes(text)).sort((a, b) => b.length - a.length)[0];
    if (found === undefined) return [line];
    const start = line.indexOf(found);
    const link = element("a", { href: links[found], title: "Open in the editor" }, found);
    return [line.slice(0, start), link, line.slice(start + found.length)];
  };

  const kindOf = (line) => {
    if (/^\s*\|\s*\^\s*$/.test(line)) return "caret";
    if (/^\s*\d*\s\| /.test(line)) return "code";
    if (/^\s+(hint|state|detail|PostgreSQL's hint): /.test(line)) return "hint";
    return /^\s+(next|your decision): /.test(line) ? "next" : "";
  };

  const showError = (error, small = error.draft) => {
    hideOverlay();
    overlay = document.createElement("div");
    overlay.id = "mosaic-dev-overlay";
    const root = overlay.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    const [first = "", ...rest] = error.lines;
    const title = error.draft ? "The draft can't be applied" : "This can't be deployed";
    const text = element("pre", {});
    for (const line of small ? [first] : [first, ...rest]) {
      text.append(element("span", { className: kindOf(line) }, ...linked(line, error.links)), "\n");
    }
    const frame = element("div", { className: small ? "notice" : "frame", tabIndex: -1 },
      element("h1", {}, title), text);
    frame.setAttribute("role", "alert");
    if (small) frame.append(element("button", { onclick: () => showError(error, false) }, "Show"));
    frame.append(element("button", { onclick: hideOverlay }, small ? "Hide" : "Hide (Esc)"));
    root.append(frame);
    document.documentElement.append(overlay);
    if (!small) {
      document.addEventListener("keydown", onKey, true);
      frame.focus({ preventScroll: true });
    }
  };

  const onKey = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    hideOverlay();
  };

  const hideOverlay = () => {
    document.removeEventListener("keydown", onKey, true);
    if (overlay) overlay.remove();
    overlay = null;
  };

  const swapStylesheets = (paths) => {
    const sheets = [...document.querySelectorAll('link[rel~="stylesheet"][href]')]
      .filter((link) => new URL(link.href).origin === location.origin);
    const changed = sheets.filter((link) => paths.includes(decodeURIComponent(new URL(link.href).pathname).slice(1)));
    // An @import-ed stylesheet has no link of its own: reload them all.
    const reloaded = changed.length === paths.length ? changed : sheets;
    if (reloaded.length === 0) return;
    for (const link of reloaded) {
      const next = link.cloneNode();
      const url = new URL(link.href);
      url.searchParams.set("__mosaic_dev", String(Date.now()));
      next.href = url.href;
      next.onload = next.onerror = () => link.remove();
      link.after(next);
    }
  };

  const onMessage = (message) => {
    if (message.type === "hello") {
      if (version !== null && version !== message.version) return location.reload();
      version = message.version;
      if (message.error) showError(message.error); else hideOverlay();
    } else if (message.type === "deployed") {
      version = message.version;
      const paths = message.paths;
      if (paths.length > 0 && paths.every((path) => path.endsWith(".css"))) swapStylesheets(paths);
      else location.reload();
    } else if (message.type === "error") showError(message.error);
    else if (message.type === "resolved") hideOverlay();
  };

  const listen = () => {
    const source = new EventSource("/__mosaic_dev/events");
    source.onmessage = (event) => onMessage(JSON.parse(event.data));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      // The session ended, or hasn't started again yet.
      setTimeout(listen, 2000);
    };
  };
  listen();
})();
